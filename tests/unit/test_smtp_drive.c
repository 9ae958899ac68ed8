/*
 * The SMTP client over real connections. By itself: nobody listens. With a
 * configuration file as its argument it is the tests' way to hand over several
 * messages: standard input names a message a line, "SENDER RECIPIENT,... FILE",
 * and an empty line hands over those before it. Each result is a line, written as
 * soon as it is known: "MESSAGE RECIPIENT OUTCOME CODE NOT-TAKEN TEXT".
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtp.h"

enum { MESSAGES = 2000, RCPTS = 100 };

struct mail {
	struct message m;
	struct rcpt *list[RCPTS];
	struct rcpt rcpts[RCPTS];
};

static void
tell(void *ctx, struct rcpt *const *rcpts, size_t n)
{
	const struct mail *mail = ctx;
	size_t i;

	for (i = 0; i < n; i++)
		printf("%s %s %s %d %d %s\n", mail->m.id, rcpts[i]->addr,
		    result_status(&rcpts[i]->res), rcpts[i]->res.code,
		    rcpts[i]->res.certainly_not_taken, rcpts[i]->res.text);
	fflush(stdout);
}

/* What intake knows of a message, found out afresh. */
static void
look_at(struct spool *sp)
{
	char block[4096], last = '\n';
	ssize_t n, i;
	off_t at = 0;

	while ((n = spool_read(sp, block, sizeof block, at)) > 0) {
		for (i = 0; i < n; i++) {
			sp->has_dot_line |= last == '\n' && block[i] == '.';
			last = block[i];
		}
		at += n;
	}
}

static void
read_mail(struct mail *mail, struct parcel *p, char *line, size_t number)
{
	char *from = strtok(line, " "), *to = strtok(NULL, " "),
	    *file = strtok(NULL, "\n"), *addr;
	struct stat st;
	size_t n = 0;

	if (file == NULL)
		exit(2);
	mail->m.spool.fd = open(file, O_RDONLY);
	if (fstat(mail->m.spool.fd, &st) < 0)
		exit(2);
	mail->m.spool.size = st.st_size;
	look_at(&mail->m.spool);
	snprintf(mail->m.id, sizeof mail->m.id, "%zu", number);
	mail->m.env.from = strdup(from);
	for (addr = strtok(to, ","); addr && n < RCPTS; addr = strtok(NULL, ",")) {
		mail->rcpts[n].addr = strdup(addr);
		mail->list[n] = &mail->rcpts[n];
		n++;
	}
	mail->m.settled = tell;
	mail->m.settled_ctx = mail;
	*p = (struct parcel){ &mail->m, mail->list, n };
}

static void
free_mail(struct mail *mail)
{
	size_t i;

	for (i = 0; i < RCPTS; i++)
		free(mail->rcpts[i].addr);
	free(mail->m.env.from);
	close(mail->m.spool.fd);
	free(mail);
}

static int
drive(const char *conf)
{
	static struct parcel parcels[MESSAGES];
	static struct mail *mails[MESSAGES];
	struct config c;
	struct log log = { .target = LOG_TO_NONE };
	struct result res;
	struct smtp *smtp;
	char line[8192];
	size_t n = 0, sent = 0;

	if (config_load(&c, conf, &res) < 0) {
		fprintf(stderr, "%s\n", res.text);
		return 2;
	}
	config_open_secrets(&c, &log);
	smtp = smtp_open(&c.routes[0], &c, &log);
	while (n < MESSAGES && fgets(line, sizeof line, stdin)) {
		if (*line == '\n') {
			smtp_deliver(smtp, parcels + sent, n - sent);
			sent = n;
			continue;
		}
		mails[n] = calloc(1, sizeof *mails[n]);
		read_mail(mails[n], &parcels[n], line, n);
		n++;
	}
	smtp_deliver(smtp, parcels + sent, n - sent);
	if (smtp_down(smtp))
		printf("down %s\n", smtp_down(smtp)->text);
	smtp_close(smtp);
	while (n > 0)
		free_mail(mails[--n]);
	config_free(&c);
	return 0;
}

static void
nobody_listens(void **state)
{
	struct route r = { .name = strdup("r"), .host = strdup("127.0.0.1"),
		.port = 1, .tls = TLS_OFF };
	struct config c = { .hostname = strdup("h.example") };
	struct log log = { .target = LOG_TO_NONE };
	struct rcpt rcpt = { .addr = strdup("a@b") }, *list[] = { &rcpt };
	struct message m = { .spool.fd = -1 };
	struct smtp *smtp = smtp_open(&r, &c, &log);

	(void)state;
	smtp_deliver(smtp, &(struct parcel){ &m, list, 1 }, 1);
	assert_int_equal(rcpt.res.outcome, OUT_TEMP);
	assert_true(result_may_fail_over(&rcpt.res));
	assert_non_null(smtp_down(smtp));
	assert_string_equal(smtp_down(smtp)->text, rcpt.res.text);
	smtp_close(smtp);
	free(r.name);
	free(r.host);
	free(c.hostname);
	free(rcpt.addr);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_listens)
	};

	if (argc > 1)
		return drive(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
