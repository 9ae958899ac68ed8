#include "lib/aws/email.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/json.h"

enum { BLOCK = 3 * 8192 };	/* of the spool: base64 without padding */

/* What stands around the message's base64: this, and the suffix. */
static const char before[] = "{\"Content\":{\"Raw\":{\"Data\":\"";

int
email_write(const struct spool *spool, const char *suffix,
    int (*sink)(void *ctx, const void *data, size_t n), void *ctx)
{
	unsigned char *raw = malloc(BLOCK + BASE64_SIZE(BLOCK));
	char *text;
	off_t at = 0;
	size_t have = 0;
	ssize_t n = 1;
	int rc = -2;

	if (raw == NULL)
		return -2;
	text = (char *)raw + BLOCK;
	rc = sink(ctx, before, sizeof before - 1);
	while (rc == 0 && n != 0) {
		/* Fill the block, so that only the last one is padded. */
		for (have = 0; have < BLOCK; have += (size_t)n, at += n) {
			n = spool_read(spool, raw + have, BLOCK - have, at);
			if (n <= 0)
				break;
		}
		if (n < 0)
			rc = -2;
		else if (have > 0)
			rc = sink(ctx, text, base64_encode(text, raw, have));
	}
	if (rc == 0)
		rc = sink(ctx, suffix, strlen(suffix));
	free(raw);
	return rc;
}

/* Does the identity that an ARN ends with cover the address? */
static bool
arn_covers(const char *arn, const char *addr)
{
	const char *identity = strstr(arn, ":identity/"), *domain;
	size_t n, d;

	if (identity == NULL)
		return false;
	identity += sizeof ":identity/" - 1;
	if (address_equal(identity, addr))
		return true;
	domain = address_domain(addr);
	n = strlen(identity);
	d = strlen(domain);
	return d >= n && mem_iequal(domain + d - n, identity, n) &&
	    (d == n || domain[d - n - 1] == '.');
}

void
email_suffix(struct buf *b, const struct route *r, const struct message *m,
    struct rcpt *const *rcpts, size_t n)
{
	size_t i;

	/* All recipients: SES alters no header for the envelope's sake. */
	buf_adds(b, "\"}},\"Destination\":{\"BccAddresses\":[");
	for (i = 0; i < n; i++)
		json_text(b, NULL, rcpts[i]->addr);
	buf_adds(b, "]}");
	/* No FromEmailAddress: it would replace the From header. */
	json_text(b, "FeedbackForwardingEmailAddress", m->env.from);
	if (r->from_arn) {
		json_text(b, "FromEmailAddressIdentityArn", r->from_arn);
		if (arn_covers(r->from_arn, m->env.from))
			json_text(b, "FeedbackForwardingEmailAddressIdentityArn",
			    r->from_arn);
	}
	if (r->configuration_set)
		json_text(b, "ConfigurationSetName", r->configuration_set);
	for (i = 0; i < r->ntags; i++) {
		buf_adds(b, i == 0 ? ",\"EmailTags\":[{" : ",{");
		json_text(b, "Name", r->tags[i].name);
		json_text(b, "Value", r->tags[i].value);
		buf_adds(b, i + 1 < r->ntags ? "}" : "}]");
	}
	buf_addc(b, '}');
}
