/*
 * DKIM. Any signatures and keys are read; and a message that we sign passes,
 * whatever is in it. A letter, then records ("name text" lines) up to an empty
 * line, then the message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mail/dkim.h"
#include "lib/mail/mime.h"
#include "lib/mail/verify.h"
#include "tests/fuzz/fuzz.h"

/* Of 1024 bits: made for this, and fast. */
static const char key_pem[] =
#include "tests/fuzz/dkim-key.h"
;

/* --- */

static int
verify(const char *p, size_t n, const char *keys, char **said)
{
	struct result res = { 0 };
	size_t size;
	FILE *out = open_memstream(said, &size);
	int fd = file_of(p, n), status = verify_run(fd, keys, out, &res);

	fclose(out);
	close(fd);
	CHECK(status == EXIT_OK || status == EXIT_DATA || status == -1 ||
	    status == EXIT_REFUSED || status == EXIT_TEMP);
	CHECK(status >= 0 || *res.text);
	CHECK(status != EXIT_OK || strstr(*said, "pass: "));
	CHECK(status != EXIT_REFUSED || strstr(*said, "fail: "));
	return status;
}

static void
read_spool(const struct spool *sp, struct buf *out)
{
	char block[997];
	ssize_t n;

	while ((n = spool_read(sp, block, sizeof block, (off_t)out->len)) > 0)
		buf_add(out, block, (size_t)n);
	CHECK(n == 0);
}

static void
sign_and_verify(const struct buf *text, const char *keys)
{
	static char domain[] = "x.example", selector[] = "s", path[] = "/k";
	struct route r = { .dkim_domain = domain, .dkim_selector = selector,
		.dkim_key = path };
	struct message m = { .spool.fd = -1 }, adapted = m;
	const struct message *out;
	struct result res = { 0 };
	struct buf sent = { 0 };
	char *said = NULL;

	CHECK(private_key_parse(&r.dkim, key_pem) == NULL);
	CHECK(spool_open(&m.spool, NULL, &res) == 0);
	CHECK(spool_add(&m.spool, text->p, text->len, &res) == 0);
	CHECK(spool_finish(&m.spool, &res) == 0);
	out = dkim_message(&m, &r, &adapted, &res);
	CHECK(out == &adapted || (out == NULL && *res.text) || out == &m);
	if (out == &adapted) {
		read_spool(&out->spool, &sent);
		CHECK(str_istarts(sent.p, "DKIM-Signature:"));
		CHECK(verify(sent.p, sent.len, keys, &said) == EXIT_OK);
		free(said);
	}
	mime_done(&adapted);
	spool_close(&m.spool);
	private_key_free(&r.dkim);
	buf_free(&sent);
}

/* What intake leaves: header fields and an empty line, with a From. */
static bool
is_message(const char *p)
{
	bool from = false;
	size_t n;

	for (; *p && *p != '\r'; p = strchr(p, '\n') + 1) {
		n = strcspn(p, ": \t\r\n");
		if (p[n] != ':' || n == 0 || str_istarts(p, "DKIM-Signature"))
			return false;
		from |= str_istarts(p, "From:");
	}
	return *p == '\r' && from;
}

FUZZ(dkim)
{
	static const char record[] =
	    "s._domainkey.x.example v=DKIM1; k=rsa; p="
#include "tests/fuzz/dkim-record.h"
	    "\n";
	unsigned how = in_byte(in);
	struct buf records = { 0 }, text = { 0 };
	char name[40], *line, *said = NULL;
	bool more;
	int fd;

	buf_adds(&records, record);
	do {
		line = in_line(in);
		more = *line != '\0';
		buf_addf(&records, "%s\n", line);
		free(line);
	} while (more && in->n > 0);
	fd = file_of(records.p, records.len);
	file_name(name, fd);
	verify((const char *)in->p, in->n, name, &said);
	free(said);
	naive_lines(&text, in->p, in->n);
	if ((how & 1) && is_message(buf_str(&text)))
		sign_and_verify(&text, name);
	close(fd);
	buf_free(&records);
	buf_free(&text);
}
