/* For a build without this part: nothing here is reached. See Makefile. */
#include "lib/front/smtpd.h"

int
smtpd_run(const struct smtpd *d)
{
	(void)d;
	return EXIT_USAGE;
}
