/* For a build without qmail-remote; a route of that type is never reached. */
#include "lib/front/qmail.h"

#include <unistd.h>

#include "lib/base/write.h"
#include "lib/front/handover.h"

/* qmail keeps the message and logs the line. */
int
qmail_remote(struct qmail *q, int argc, char **argv)
{
	static const char line[] =
	    "Zsendroute was built without qmail (4.3.5).\n";

	(void)q;
	(void)argc;
	(void)argv;
	write_all(STDOUT_FILENO, line, sizeof line);
	return 0;
}

void
handover_deliver(const struct route *r, bool whole, const struct message *m,
    struct rcpt *const *rcpts, size_t n, struct log *log)
{
	(void)r;
	(void)whole;
	(void)m;
	(void)rcpts;
	(void)n;
	(void)log;
}
