#include "lib/front/privilege.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool
privilege_is_lent(void)
{
	if (getuid() == geteuid() && getgid() == getegid())
		return false;
	/* Root needs no privilege from us, and has his environment. */
	return getuid() != 0 || setegid(getgid()) < 0 || seteuid(0) < 0;
}

int
privilege_drop(struct result *res)
{
	/* The saved ids too: nothing must be able to get them back. */
	if (setregid(getgid(), getgid()) == 0 &&
	    setreuid(getuid(), getuid()) == 0)
		return 0;
	return result_fail(res, EXIT_OS, "cannot drop privilege: %s",
	    strerror(errno));
}

int
privilege_lower(uid_t *uid, gid_t *gid, struct result *res)
{
	*uid = geteuid();
	*gid = getegid();
	/* The group first: without the user's right it may not be changed. */
	if (setegid(getgid()) == 0 && seteuid(getuid()) == 0)
		return 0;
	return result_fail(res, EXIT_OS, "cannot lower privilege: %s",
	    strerror(errno));
}
