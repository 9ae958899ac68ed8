/* For a build without this part: nothing here is reached. See Makefile. */
#include "lib/store/maildir.h"

void
maildir_deliver(const struct route *r, const struct message *m,
    struct rcpt *const *rcpts, size_t n)
{
	(void)r;
	(void)m;
	(void)rcpts;
	(void)n;
}
