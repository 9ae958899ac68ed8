#include "lib/aws/answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cJSON.h>

#define STR(x) #x
#define XSTR(x) STR(x)

/* A string member under either name; "" when there is none. */
static const char *
member(const cJSON *root, const char *a, const char *b)
{
	const char *text = cJSON_GetStringValue(
	    cJSON_GetObjectItemCaseSensitive(root, a));

	if (text == NULL)
		text = cJSON_GetStringValue(
		    cJSON_GetObjectItemCaseSensitive(root, b));
	return text ? text : "";
}

/* "aws.ses#BadRequestException:http://..." is BadRequestException. */
static void
trim_code(char *out, size_t size, const char *code)
{
	size_t n = strcspn(code, ":");
	const char *start = code, *p;

	for (p = code; p < code + n; p++)
		if (*p == '#')
			start = p + 1;
	n -= (size_t)(start - code);
	snprintf(out, size, "%.*s", (int)n, start);
}

/* *memory false: it could not be looked at. */
static cJSON *
parse_body(const struct http_reply *r, bool *memory)
{
	cJSON *root;

	errno = 0;
	root = cJSON_ParseWithLength(buf_str(&r->body), r->body.len);
	*memory = root || errno != ENOMEM;
	return root;
}

/* The body is text for a person, or an HTML page of a front end. */
enum remedy
answer_error(const struct http_reply *r, bool message, struct result *res)
{
	const char *code = http_reply_field(r, "x-amzn-ErrorType");
	const char *id = http_reply_field(r, "x-amzn-RequestId");
	bool memory;
	cJSON *root = parse_body(r, &memory);
	int status = r->status;
	char name[100], text[440];
	size_t n;

	if (code == NULL || *code == '\0')
		code = member(root, "code", "Code");
	if (*code == '\0')
		code = member(root, "__type", "__type");
	/* What is not known must not count as a refusal. */
	if (*code == '\0' && !memory)
		status = 503;
	trim_code(name, sizeof name, code);
	snprintf(text, sizeof text, "%s", memory ? member(root, "message",
	    "Message") : "out of memory");
	cJSON_Delete(root);
	n = strlen(text);
	if (id)
		snprintf(text + n, sizeof text - n, " (request %s)", id);
	return verdict(status, name, text, message && r->sent_whole, res);
}

void
answer_success(const struct http_reply *r, const char *peer,
    struct result *res)
{
	bool memory;
	cJSON *root = parse_body(r, &memory);
	const char *id = member(root, "MessageId", "MessageId");

	if (!memory && strstr(buf_str(&r->body), "\"MessageId\""))
		id = "unread";
	if (*id && r->sent_whole) {
		result_set(res, OUT_DONE, CAUSE_ROUTE, "%s: MessageId %s",
		    peer, id);
	} else
		result_ambiguous(res, "%s: %d without a MessageId (is this SES?): "
		    "the message may have been taken. Possible duplicate!",
		    peer, r->status);
	res->code = r->status;
	cJSON_Delete(root);
}

const char *
answer_library(void)
{
	static const char name[] = "cJSON " XSTR(CJSON_VERSION_MAJOR) "."
	    XSTR(CJSON_VERSION_MINOR) "." XSTR(CJSON_VERSION_PATCH);

	return name;
}
