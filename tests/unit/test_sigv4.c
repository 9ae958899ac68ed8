/* Signature Version 4, judged by AWS's own suite and by two other signers. */
#include "lib/aws/sigv4.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cJSON.h>

#include "lib/base/base64.h"
#include "lib/base/clock.h"

#ifndef VECTORS
#define VECTORS "tests/vectors"
#endif

enum { SUITE_CASES = 31, SES_CASES = 14, FIELDS_MAX = 16 };

static const char empty_hash[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/* --- help ------------------------------------------------------------------ */

static char *
slurp(const char *path)
{
	struct buf b = { 0 };
	char chunk[4096];
	size_t n;
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		fail_msg("%s cannot be read", path);
	while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
		buf_add(&b, chunk, n);
	fclose(f);
	assert_false(b.failed);
	return b.p != NULL ? b.p : mem_dup("", 0);
}

static char *
slurp_in(const char *folder, const char *file)
{
	char path[1024];

	snprintf(path, sizeof path, "%s/%s", folder, file);
	return slurp(path);
}

/* A member that is a string; NULL when it is not there. */
static char *
text_of(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object,
	    name));
}

static char *
must_text(const cJSON *object, const char *name)
{
	char *text = text_of(object, name);

	if (text == NULL)
		fail_msg("no text \"%s\" in the vectors", name);
	return text;
}

static bool
is_set(const cJSON *object, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name)) != 0;
}

static int
digits(const char *s, size_t n)
{
	int value = 0;

	while (n-- > 0) {
		assert_true(*s >= '0' && *s <= '9');
		value = 10 * value + *s++ - '0';
	}
	return value;
}

/* "YYYY-MM-DDTHH:MM:SSZ" */
static time_t
time_of(const char *s)
{
	assert_int_equal(strlen(s), 20);
	return (time_t)clock_from_civil(digits(s, 4), digits(s + 5, 2),
	    digits(s + 8, 2), digits(s + 11, 2), digits(s + 14, 2),
	    digits(s + 17, 2));
}

static void
same(const char *name, const char *what, const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		fail_msg("%s: %s is\n%s\nand not\n%s", name, what, got, want);
}

struct expected {
	const char *canonical, *to_sign, *authorization;
};

/* All three steps of one request. */
static void
check_all(const char *name, const struct sigv4_request *r,
    const struct credentials *c, const struct expected *e)
{
	struct buf canonical = { 0 }, to_sign = { 0 }, value = { 0 };

	assert_int_equal(sigv4_canonical(r, &canonical), 0);
	same(name, "the canonical request", buf_str(&canonical), e->canonical);
	assert_int_equal(sigv4_string_to_sign(r, &canonical, &to_sign), 0);
	same(name, "the string to sign", buf_str(&to_sign), e->to_sign);
	assert_int_equal(sigv4_authorization(r, c, &value), 0);
	same(name, "the authorization", buf_str(&value), e->authorization);
	buf_free(&canonical);
	buf_free(&to_sign);
	buf_free(&value);
}

/* --- AWS's suite ----------------------------------------------------------- */

/* A request that is taken apart in place. */
struct parsed {
	char *method, *path, *query, *body;
	struct http_field fields[FIELDS_MAX];
	size_t n;
};

static void
add_field(struct parsed *p, const char *name, const char *value)
{
	assert_true(p->n < FIELDS_MAX);
	p->fields[p->n++] = (struct http_field){ name, value };
}

/* "METHOD TARGET HTTP/1.1"; the target may hold blanks. */
static void
parse_target(struct parsed *p, char *line)
{
	char *end = strstr(line, " HTTP/1.1");

	assert_non_null(end);
	*end = '\0';
	p->method = line;
	p->path = strchr(line, ' ');
	assert_non_null(p->path);
	*p->path++ = '\0';
	p->query = strchr(p->path, '?');
	if (p->query != NULL)
		*p->query++ = '\0';
	else
		p->query = end;
}

/* Fields up to the blank line; a line that begins with a blank goes on. */
static char *
parse_fields(struct parsed *p, char *line)
{
	char *end, *colon;

	while (*line != '\0' && *line != '\n') {
		end = line + strcspn(line, "\n");
		while (end[0] == '\n' && end[1] == ' ')
			end += 1 + strcspn(end + 1, "\n");
		colon = strchr(line, ':');
		assert_non_null(colon);
		assert_true(colon < end);
		*colon = '\0';
		add_field(p, line, colon + 1);
		line = end + (*end != '\0');
		*end = '\0';
	}
	return line + (*line != '\0');
}

static void
parse_request(struct parsed *p, char *text)
{
	char *line = text + strcspn(text, "\n");

	*p = (struct parsed){ 0 };
	assert_true(*line == '\n');
	*line++ = '\0';
	parse_target(p, text);
	p->body = parse_fields(p, line);
}

/* The Authorization field of the signed request, which is taken apart too. */
static const char *
parse_authorization(char *signed_text)
{
	struct parsed p;
	size_t i;

	parse_request(&p, signed_text);
	for (i = 0; i < p.n; i++)
		if (str_iequal(p.fields[i].name, "Authorization"))
			return p.fields[i].value;
	fail_msg("the signed request has no Authorization");
	return NULL;
}

/* What the signer adds: time, token and hash, as the context wants it. */
static void
add_own(struct parsed *p, const cJSON *context, const char *when,
    const char *token, const char *hash)
{
	add_field(p, "X-Amz-Date", when);
	if (token != NULL && !is_set(context, "omit_session_token"))
		add_field(p, "X-Amz-Security-Token", token);
	if (is_set(context, "sign_body"))
		add_field(p, "x-amz-content-sha256", hash);
}

static void
check_files(const char *folder, const char *name, const struct sigv4_request *r,
    const struct credentials *c)
{
	char *canonical = slurp_in(folder, "header-canonical-request.txt");
	char *to_sign = slurp_in(folder, "header-string-to-sign.txt");
	char *signature = slurp_in(folder, "header-signature.txt");
	char *signed_text = slurp_in(folder, "header-signed-request.txt");
	const char *authorization = parse_authorization(signed_text);
	struct expected e = { canonical, to_sign, authorization };

	check_all(name, r, c, &e);
	same(name, "the signature", strstr(authorization, "Signature=") +
	    strlen("Signature="), signature);
	free(canonical);
	free(to_sign);
	free(signature);
	free(signed_text);
}

static void
run_suite_case(const char *folder, const char *name)
{
	char *context_text = slurp_in(folder, "context.json");
	char *text = slurp_in(folder, "request.txt");
	char when[CLOCK_AMZ_SIZE], hash[2 * SHA256_SIZE + 1];
	cJSON *context = cJSON_Parse(context_text), *keys;
	struct sigv4_request r = { 0 };
	struct credentials c = { 0 };
	struct parsed p;

	assert_non_null(context);
	assert_true(is_set(context, "normalize"));
	keys = cJSON_GetObjectItemCaseSensitive(context, "credentials");
	c.access_key_id = must_text(keys, "access_key_id");
	c.secret_access_key = must_text(keys, "secret_access_key");
	c.session_token = text_of(keys, "token");
	r.region = must_text(context, "region");
	r.service = must_text(context, "service");
	r.when = time_of(must_text(context, "timestamp"));
	clock_amz(when, r.when);
	parse_request(&p, text);
	sha256(r.payload, p.body, strlen(p.body));
	hex_encode(hash, r.payload, SHA256_SIZE);
	add_own(&p, context, when, c.session_token, hash);
	r.method = p.method;
	r.path = p.path;
	r.query = p.query;
	r.fields = p.fields;
	r.nfields = p.n;
	check_files(folder, name, &r, &c);
	cJSON_Delete(context);
	free(context_text);
	free(text);
}

static void
every_case_of_the_aws_suite_passes(void **state)
{
	static const char suite[] = VECTORS "/aws-sigv4";
	char folder[1024];
	struct dirent *entry;
	int ran = 0;
	DIR *dir = opendir(suite);

	(void)state;
	if (dir == NULL)
		fail_msg("no vectors in %s", suite);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' ||
		    strcmp(entry->d_name, "LICENSE") == 0)
			continue;
		snprintf(folder, sizeof folder, "%s/%s", suite, entry->d_name);
		run_suite_case(folder, entry->d_name);
		ran++;
	}
	closedir(dir);
	assert_int_equal(ran, SUITE_CASES);
}

/* --- requests to SES and STS ----------------------------------------------- */

static size_t
fields_of(const cJSON *headers, struct http_field *fields, bool backwards)
{
	const cJSON *h;
	struct http_field swap;
	size_t n = 0, i;

	cJSON_ArrayForEach(h, headers) {
		if (strcmp(h->string, "authorization") == 0)
			continue;
		assert_true(n < FIELDS_MAX);
		fields[n++] = (struct http_field){ h->string, h->valuestring };
	}
	for (i = 0; backwards && i < n / 2; i++) {
		swap = fields[i];
		fields[i] = fields[n - 1 - i];
		fields[n - 1 - i] = swap;
	}
	return n;
}

static void
run_ses_case(const cJSON *v, bool backwards)
{
	const cJSON *headers = cJSON_GetObjectItemCaseSensitive(v, "headers");
	const char *body = must_text(v, "body");
	struct http_field fields[FIELDS_MAX];
	struct expected e = {
		must_text(v, "canonical_request"),
		must_text(v, "string_to_sign"),
		must_text(headers, "authorization")
	};
	struct credentials c = {
		.access_key_id = must_text(v, "access_key_id"),
		.secret_access_key = must_text(v, "secret_access_key"),
		.session_token = text_of(v, "token")
	};
	struct sigv4_request r = {
		.method = must_text(v, "method"),
		.path = must_text(v, "wire_path"),
		.query = must_text(v, "canonical_query"),
		.fields = fields,
		.nfields = fields_of(headers, fields, backwards),
		.region = must_text(v, "region"),
		.service = must_text(v, "service"),
		.when = time_of(must_text(v, "timestamp"))
	};

	sha256(r.payload, body, strlen(body));
	check_all(must_text(v, "name"), &r, &c, &e);
	assert_non_null(strstr(e.authorization, must_text(v, "signature")));
}

static void
run_ses_cases(bool backwards)
{
	char *text = slurp(VECTORS "/ses-sigv4.json");
	cJSON *all = cJSON_Parse(text);
	const cJSON *v;
	int ran = 0;

	assert_non_null(all);
	cJSON_ArrayForEach(v, all) {
		assert_true(is_set(v, "agree"));
		run_ses_case(v, backwards);
		ran++;
	}
	assert_int_equal(ran, SES_CASES);
	cJSON_Delete(all);
	free(text);
}

static void
every_ses_and_sts_request_passes(void **state)
{
	(void)state;
	run_ses_cases(false);
}

static void
the_order_of_fields_does_not_matter(void **state)
{
	(void)state;
	run_ses_cases(true);
}

/* --- our own tables -------------------------------------------------------- */

/* The canonical request of a plain GET; its lines are the caller's to free. */
static char *
canonical_of(const char *path, const char *query,
    const struct http_field *fields, size_t n)
{
	struct sigv4_request r = {
		.method = "GET", .path = path, .query = query,
		.fields = fields, .nfields = n,
		.region = "eu-west-1", .service = "ses"
	};
	struct buf b = { 0 };

	sha256(r.payload, "", 0);
	assert_int_equal(sigv4_canonical(&r, &b), 0);
	assert_int_equal(strlen(b.p), b.len);
	return b.p;
}

static void
check_line(const char *path, const char *query, const char *uri,
    const char *canonical_query)
{
	char want[8192], *got = canonical_of(path, query, NULL, 0);

	snprintf(want, sizeof want, "GET\n%s\n%s\n\n\n%s", uri,
	    canonical_query, empty_hash);
	same(path, "the canonical request", got, want);
	free(got);
}

static void
paths_are_normalised_and_encoded_once_more(void **state)
{
	static const struct { const char *wire, *canonical; } table[] = {
		{ "", "/" },
		{ "/", "/" },
		{ "//", "/" },
		{ "/.", "/" },
		{ "/./", "/" },
		{ "/..", "/" },
		{ "/../..", "/" },
		{ "/../a", "/a" },
		{ "/a/..", "/" },
		{ "/a/../", "/" },
		{ "/a/../b", "/b" },
		{ "/a/b/../..", "/" },
		{ "/a/b/../../..", "/" },
		{ "/a/b/../c/", "/a/c/" },
		{ "/a/./b//c///", "/a/b/c/" },
		{ "/...", "/..." },
		{ "/.a/..b/c..", "/.a/..b/c.." },
		{ "/a b", "/a%20b" },
		{ "/%2e%2e/a", "/%252e%252e/a" },
		{ "/a%2Fb", "/a%252Fb" },
		{ "/x+y@z", "/x%2By%40z" },
		{ "/-._~azAZ09", "/-._~azAZ09" },
		{ "/!*'():;=&$,", "/%21%2A%27%28%29%3A%3B%3D%26%24%2C" },
		{ "/\x01\x7f\xc3\xbf", "/%01%7F%C3%BF" },
		{ "/v2/email/identities/user%2Bx%40example.com",
		    "/v2/email/identities/user%252Bx%2540example.com" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof table / sizeof table[0]; i++)
		check_line(table[i].wire, "", table[i].canonical, "");
}

static void
queries_are_sorted_and_encoded_once(void **state)
{
	static const struct { const char *wire, *canonical; } table[] = {
		{ "", "" },
		{ "a", "a=" },
		{ "a=", "a=" },
		{ "=a", "=a" },
		{ "a=b=c", "a=b%3Dc" },
		{ "b=1&a=2", "a=2&b=1" },
		{ "a=2&a=1", "a=1&a=2" },
		{ "a=1&a=1&a=0&a=1", "a=0&a=1&a=1&a=1" },
		{ "&&b&&a&", "a=&b=" },
		{ "a-b=1&a=2", "a=2&a-b=1" },
		{ "ab=1&a=b2", "a=b2&ab=1" },
		{ "a=10&a=1", "a=1&a=10" },
		{ "a=1&B=1&A=1&b=1", "A=1&B=1&a=1&b=1" },
		{ "a=%2f%2F/", "a=%2F%2F%2F" },
		{ "%41=%7e", "A=~" },
		{ "a=%", "a=%25" },
		{ "a=%4", "a=%254" },
		{ "a=%zz", "a=%25zz" },
		{ "a=%%41", "a=%25A" },
		{ "a=b c+d", "a=b%20c%2Bd" },
		{ "a=\xe1\x88\xb4", "a=%E1%88%B4" },
		{ "PageSize=1000&NextToken=a%2Bb%2Fc%3D%3D",
		    "NextToken=a%2Bb%2Fc%3D%3D&PageSize=1000" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof table / sizeof table[0]; i++)
		check_line("/", table[i].wire, "/", table[i].canonical);
}

static void
field_values_are_trimmed_and_their_blanks_collapsed(void **state)
{
	static const struct http_field fields[] = {
		{ "X-Quoted", "\"a   b\"" },
		{ "X-Empty", "" },
		{ "X-Blanks", " \t " },
		{ "X-Tabs", "\ta\t\tb \t c\t" },
		{ "x-folded", "one\r\n   two" },
		{ "X-Plain", "a b" }
	};
	char *got = canonical_of("/", "", fields,
	    sizeof fields / sizeof fields[0]);

	(void)state;
	assert_string_equal(got, "GET\n/\n\n"
	    "x-blanks:\nx-empty:\nx-folded:one two\nx-plain:a b\n"
	    "x-quoted:\"a b\"\nx-tabs:a b c\n\n"
	    "x-blanks;x-empty;x-folded;x-plain;x-quoted;x-tabs\n"
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	free(got);
}

/* A name that begins another sorts first; one name keeps its fields in order. */
static void
field_names_are_lowered_sorted_and_joined(void **state)
{
	static const struct http_field fields[] = {
		{ "X-Amz-Date", "d" },
		{ "B", "2" },
		{ "x-amz", "z" },
		{ "b", " 1 " },
		{ "HOST", "h" },
		{ "B", "" }
	};
	char *got = canonical_of("/", "", fields,
	    sizeof fields / sizeof fields[0]);

	(void)state;
	assert_string_equal(got, "GET\n/\n\n"
	    "b:2,1,\nhost:h\nx-amz:z\nx-amz-date:d\n\n"
	    "b;host;x-amz;x-amz-date\n"
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	free(got);
}

static void
long_parts_are_kept_whole(void **state)
{
	char path[2002], want[6002];
	size_t i;

	(void)state;
	memset(path, '+', sizeof path);
	path[0] = '/';
	path[2001] = '\0';
	want[0] = '/';
	for (i = 0; i < 2000; i++)
		memcpy(want + 1 + 3 * i, "%2B", 3);
	want[6001] = '\0';
	check_line(path, "", want, "");
}

/* What stands in out already stays in front: paths and pairs begin behind it. */
static void
steps_append_to_what_is_there(void **state)
{
	struct sigv4_request r = {
		.method = "GET", .path = "/..", .query = "b&a",
		.region = "r", .service = "s"
	};
	struct buf b = { 0 };

	(void)state;
	sha256(r.payload, "", 0);
	buf_adds(&b, "/kept/");
	assert_int_equal(sigv4_canonical(&r, &b), 0);
	assert_string_equal(b.p, "/kept/GET\n/\na=&b=\n\n\n"
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	buf_free(&b);
}

/* The date of the scope is the request's in UTC, up to its last second. */
static void
the_scope_follows_the_request_s_time(void **state)
{
	static const struct { const char *when, *begins; } table[] = {
		{ "2026-12-31T23:59:59Z", "AWS4-HMAC-SHA256\n20261231T235959Z\n"
		    "20261231/eu-west-1/ses/aws4_request\n" },
		{ "2027-01-01T00:00:00Z", "AWS4-HMAC-SHA256\n20270101T000000Z\n"
		    "20270101/eu-west-1/ses/aws4_request\n" }
	};
	struct sigv4_request r = {
		.method = "GET", .path = "/", .query = "",
		.region = "eu-west-1", .service = "ses"
	};
	struct buf canonical = { 0 }, b = { 0 };
	size_t i;

	(void)state;
	buf_adds(&canonical, "");
	for (i = 0; i < sizeof table / sizeof table[0]; i++) {
		buf_reset(&b);
		r.when = time_of(table[i].when);
		assert_int_equal(sigv4_string_to_sign(&r, &canonical, &b), 0);
		assert_int_equal(b.len, strlen(table[i].begins) + 64);
		assert_memory_equal(b.p, table[i].begins,
		    strlen(table[i].begins));
		assert_string_equal(b.p + b.len - 64, empty_hash);
	}
	buf_free(&b);
	buf_free(&canonical);
}

/* A failed buffer is told, not signed. */
static void
a_failed_buffer_is_a_failure(void **state)
{
	struct sigv4_request r = {
		.method = "GET", .path = "/", .query = "",
		.region = "eu-west-1", .service = "ses"
	};
	struct buf failed = { .failed = true }, fine = { 0 };
	char id[] = "AKIDEXAMPLE", secret[] = "secret";
	struct credentials c = { .access_key_id = id,
	    .secret_access_key = secret };

	(void)state;
	assert_int_equal(sigv4_canonical(&r, &failed), -1);
	assert_int_equal(sigv4_string_to_sign(&r, &fine, &failed), -1);
	assert_int_equal(sigv4_authorization(&r, &c, &failed), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_of_the_aws_suite_passes),
		cmocka_unit_test(every_ses_and_sts_request_passes),
		cmocka_unit_test(the_order_of_fields_does_not_matter),
		cmocka_unit_test(paths_are_normalised_and_encoded_once_more),
		cmocka_unit_test(queries_are_sorted_and_encoded_once),
		cmocka_unit_test(
		    field_values_are_trimmed_and_their_blanks_collapsed),
		cmocka_unit_test(field_names_are_lowered_sorted_and_joined),
		cmocka_unit_test(long_parts_are_kept_whole),
		cmocka_unit_test(steps_append_to_what_is_there),
		cmocka_unit_test(the_scope_follows_the_request_s_time),
		cmocka_unit_test(a_failed_buffer_is_a_failure)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
