#include "lib/aws/signed.h"

#include <string.h>

static void
add(struct signed_fields *f, const char *name, const char *value)
{
	f->fields[f->n].name = name;
	f->fields[f->n++].value = value;
}

int
signed_request(const struct aws *a, const struct endpoint *e, enum service s,
    const struct credentials *c, const char *method, const char *target,
    const char *type, const unsigned char payload[SHA256_SIZE],
    struct signed_fields *out)
{
	struct buf path = { 0 };
	size_t n = strcspn(target, "?");
	struct sigv4_request r = { .method = method,
		.query = target + n + (target[n] != '\0'), .fields = out->fields, .region = a->region,
		.service = s == SERVICE_SES ? "ses" : "sts",
		.when = (time_t)aws_now(a) };
	int rc;

	memset(out, 0, sizeof *out);
	clock_amz(out->date, r.when);
	add(out, "Host", e->host);
	if (type)
		add(out, "Content-Type", type);
	add(out, "X-Amz-Date", out->date);
	if (c->session_token)
		add(out, "X-Amz-Security-Token", c->session_token);
	if (c->access_key_id == NULL)
		return 0;
	memcpy(r.payload, payload, SHA256_SIZE);
	r.nfields = out->n;
	buf_add(&path, target, n);
	r.path = buf_str(&path);
	rc = path.failed ? -1 :
	    sigv4_authorization(&r, c, &out->authorization);
	buf_free(&path);
	if (rc < 0)
		return -1;
	add(out, "Authorization", out->authorization.p);
	return 0;
}

void
signed_free(struct signed_fields *f)
{
	buf_wipe(&f->authorization);
}
