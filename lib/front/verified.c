#include "lib/front/verified.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cJSON.h>

#include "lib/aws/sigv4.h"
#include "lib/base/json.h"
#include "lib/base/clock.h"
#include "lib/base/write.h"
#include "lib/config/senders.h"

static const char no_memory[] = "out of memory";

static const cJSON *
member(const cJSON *root, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(root, name);
}

static int
strange(struct result *res, const char *what)
{
	result_set(res, OUT_TEMP, CAUSE_OPERATOR,
	    "SES: no %s in the reply (is this SES?)", what);
	return -1;
}

static long long
number(const cJSON *root, const char *name)
{
	const cJSON *item = member(root, name);

	/* What does not fit is no quota that matters. */
	return item && item->valuedouble > -2 && item->valuedouble < 1e15 ?
	    (long long)item->valuedouble : -1;
}

int
account_get(struct ses *s, struct account *a, struct result *res)
{
	struct http_reply reply;
	const char *text;
	const cJSON *quota;
	cJSON *root;

	*a = (struct account){ 0 };
	if (ses_call(s, "GET", "/v2/email/account", NULL, &reply, res) < 0)
		return -1;
	text = http_reply_field(&reply, "Date");
	if (text)
		clock_parse_http(text, &a->date);
	root = cJSON_ParseWithLength(buf_str(&reply.body), reply.body.len);
	quota = member(root, "SendQuota");
	a->sending = cJSON_IsTrue(member(root, "SendingEnabled"));
	a->production = cJSON_IsTrue(member(root, "ProductionAccessEnabled"));
	a->most = number(quota, "Max24HourSend");
	a->sent = number(quota, "SentLast24Hours");
	a->rate = number(quota, "MaxSendRate");
	text = cJSON_GetStringValue(member(root, "EnforcementStatus"));
	snprintf(a->enforcement, sizeof a->enforcement, "%s", text ? text : "");
	text_clean(a->enforcement);
	http_reply_free(&reply);
	cJSON_Delete(root);
	return quota ? 0 : strange(res, "SendQuota");
}

/* --- identities --- */

static int
keep(struct verified_list *l, const char *name)
{
	struct verified *more;
	char *copy, *domain;

	if (l->n == l->room) {
		more = realloc(l->v, (l->room + 64) * sizeof *more);
		if (more == NULL)
			return -1;
		l->v = more;
		l->room += 64;
	}
	copy = mem_dup(name, strlen(name));
	if (copy == NULL)
		return -1;
	domain = strchr(copy, '@');
	str_lower(domain ? domain : copy);
	l->v[l->n++] = (struct verified){ .name = copy };
	return 0;
}

static bool
may_send(const cJSON *item)
{
	const char *status =
	    cJSON_GetStringValue(member(item, "VerificationStatus"));

	return cJSON_IsTrue(member(item, "SendingEnabled")) &&
	    (status == NULL || strcmp(status, "SUCCESS") == 0);
}

/* A page, and *next: where the next one is, or NULL. */
static int
take_page(struct verified_list *l, const struct http_reply *reply,
    char **next, struct result *res)
{
	cJSON *root = cJSON_ParseWithLength(buf_str(&reply->body),
	    reply->body.len);
	const cJSON *items = member(root, "EmailIdentities"), *item;
	const char *name;
	int rc = 0;

	if (!cJSON_IsArray(items))
		rc = strange(res, "EmailIdentities");
	cJSON_ArrayForEach(item, items) {
		name = cJSON_GetStringValue(member(item, "IdentityName"));
		if (rc == 0 && name && may_send(item) && keep(l, name) < 0)
			rc = result_fail(res, EXIT_OS, no_memory);
	}
	name = cJSON_GetStringValue(member(root, "NextToken"));
	if (rc == 0 && name && *name && *next && strcmp(*next, name) == 0)
		rc = strange(res, "new NextToken");
	free(*next);
	*next = NULL;
	if (rc == 0 && name && *name &&
	    (*next = mem_dup(name, strlen(name))) == NULL)
		rc = result_fail(res, EXIT_OS, no_memory);
	cJSON_Delete(root);
	return rc;
}

/* The request as older or, `post`, as newer SDKs make it. */
static int
ask_page(struct ses *s, bool post, const char *token, struct http_reply *reply,
    struct result *res)
{
	struct buf text = { 0 };
	int rc;

	buf_adds(&text, post ? "{\"PageSize\":100" :
	    "/v2/email/identities?PageSize=100");
	if (token && post)
		json_text(&text, "NextToken", token);
	else if (token) {
		buf_adds(&text, "&NextToken=");
		sigv4_add_encoded(&text, token);
	}
	if (post)
		buf_addc(&text, '}');
	if (text.failed)
		rc = result_fail(res, EXIT_OS, no_memory);
	else if (post)
		rc = ses_call(s, "POST", "/v2/email/list-identities",
		    buf_str(&text), reply, res);
	else
		rc = ses_call(s, "GET", buf_str(&text), NULL, reply, res);
	buf_free(&text);
	return rc;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct verified *)a)->name,
	    ((const struct verified *)b)->name);
}

static void
sort(struct verified_list *l)
{
	size_t i, n = 0;

	if (l->n > 0)
		qsort(l->v, l->n, sizeof *l->v, by_name);
	for (i = 0; i < l->n; i++)
		if (n > 0 && by_name(&l->v[n - 1], &l->v[i]) == 0)
			free(l->v[i].name);
		else
			l->v[n++] = l->v[i];
	l->n = n;
}

int
verified_get(struct ses *s, struct verified_list *l, struct result *res)
{
	struct http_reply reply;
	char *next = NULL;
	bool post = false;
	int rc;

	do {
		rc = ask_page(s, post, next, &reply, res);
		if (rc < 0 && !post && next == NULL &&
		    (res->code == 404 || res->code == 405)) {
			post = true;
			rc = ask_page(s, post, next, &reply, res);
		}
		if (rc == 0) {
			rc = take_page(l, &reply, &next, res);
			http_reply_free(&reply);
		}
	} while (rc == 0 && next);
	free(next);
	sort(l);
	return rc;
}

void
verified_free(struct verified_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i].name);
	free(l->v);
	*l = (struct verified_list){ 0 };
}

/* --- the list --- */

static int
ask_all(const struct config *c, env_lookup env, struct log *log,
    struct verified_list *l, struct result *res)
{
	const struct route *r;
	struct ses *s;
	int rc = 0, asked = 0;

	for (r = c->routes; rc == 0 && r < c->routes + c->nroutes; r++) {
		if (r->type != ROUTE_SES)
			continue;
		/* One call a second also when they share an account. */
		if (asked++)
			sleep(1);
		s = ses_open(r, c, env, log);
		rc = s ? verified_get(s, l, res) :
		    result_fail(res, EXIT_OS, no_memory);
		ses_close(s);
		if (rc < 0 && res->outcome == OUT_PERM)
			res->outcome = OUT_TEMP;
	}
	return rc == 0 && asked == 0 ? result_fail(res, EXIT_CONFIGURATION,
	    "%s: there is no route of type ses", c->file) : rc;
}

/* One that is no pattern, or would be one for others, is left out. */
static void
add_patterns(struct buf *out, const char *name)
{
	const char *at = strchr(name, '@');
	size_t n = at ? (size_t)(at - name) : 0, start = out->len;

	buf_addf(out, "%s%s\n", at ? "" : "@", name);
	if (out->failed)
		return;
	out->p[out->len - 1] = '\0';
	if (strpbrk(name, "*# \t\r\n\"") ||
	    !senders_pattern_valid(out->p + start)) {
		out->p[out->len = start] = '\0';
		return;
	}
	out->p[out->len - 1] = '\n';
	if (at == NULL)
		buf_addf(out, "@.%s\n", name);
	/* A label on a label is not covered. */
	else if (memchr(name, '+', n) == NULL)
		buf_addf(out, "%.*s+*%s\n", (int)n, name, at);
}

static int
cannot(struct result *res, const char *what, const char *file)
{
	return result_fail(res, EXIT_CANTCREATE, "%s: %s: %s", file, what,
	    strerror(errno));
}

/* The new file, with the mode and owner of the old one, if there is one. */
static int
fill(int fd, const char *file, const struct buf *text, struct result *res)
{
	struct stat st, now;
	int rc = lstat(file, &st);

	if (rc == 0 && !S_ISREG(st.st_mode))
		return result_fail(res, EXIT_CANTCREATE, "%s is no regular file",
		    file);
	if ((rc < 0 && errno != ENOENT) || fstat(fd, &now) < 0)
		return cannot(res, "stat", file);
	if (rc == 0 && (st.st_uid != now.st_uid || st.st_gid != now.st_gid) &&
	    fchown(fd, st.st_uid, st.st_gid) < 0)
		return cannot(res, "its owner cannot be kept", file);
	if (fchmod(fd, rc == 0 ? st.st_mode & 07777 : 0644) < 0 ||
	    write_all(fd, text->p, text->len) < 0 || fsync(fd) < 0)
		return cannot(res, "write", file);
	return 0;
}

static void
sync_folder(const char *file)
{
	const char *slash = strrchr(file, '/');
	char *folder = mem_dup(file, slash ? (size_t)(slash - file) + 1 : 0);
	int fd = folder ? open(slash ? folder : ".", O_RDONLY | O_DIRECTORY) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(folder);
}

static int
replace(const char *file, const struct buf *text, struct result *res)
{
	struct buf new = { 0 };
	int fd = -1, rc;

	buf_addf(&new, "%s.XXXXXX", file);
	if (new.failed)
		return result_fail(res, EXIT_OS, no_memory);
	fd = mkstemp(new.p);
	if (fd < 0) {
		rc = cannot(res, "a file beside it cannot be made", file);
	} else {
		rc = fill(fd, file, text, res);
		if (close(fd) < 0 && rc == 0)
			rc = cannot(res, "write", file);
		if (rc == 0 && rename(new.p, file) < 0)
			rc = cannot(res, "rename", file);
		if (rc < 0)
			unlink(new.p);
		else
			sync_folder(file);
	}
	buf_free(&new);
	return rc;
}

int
verified_write(const struct config *c, env_lookup env, struct log *log,
    const char *file, struct result *res)
{
	struct verified_list l = { 0 };
	struct buf text = { 0 };
	size_t i;
	int rc = ask_all(c, env, log, &l, res);

	for (i = 0; rc == 0 && i < l.n; i++)
		add_patterns(&text, l.v[i].name);
	if (rc == 0 && text.failed)
		rc = result_fail(res, EXIT_OS, no_memory);
	else if (rc == 0 && text.len == 0)
		rc = result_fail(res, EXIT_TEMP, "SES: no identity is verified"
		    "%s%s", file ? "; not written: " : "", file ? file : "");
	else if (rc == 0 && file)
		rc = replace(file, &text, res);
	else if (rc == 0)
		fputs(buf_str(&text), stdout);
	buf_free(&text);
	verified_free(&l);
	return rc;
}
