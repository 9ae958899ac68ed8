/*
 * The caller's login name. /etc/passwd is read here: a static program knows no
 * other source, and getpwuid would cost 4 KiB for the same.
 */
#ifndef SENDROUTE_LOGIN_H
#define SENDROUTE_LOGIN_H

#include <sys/types.h>

/*
 * login_name(uid): the name that /etc/passwd gives uid, on the heap; NULL when
 * there is none, it is longer than 64 bytes, or memory ran out.
 */
char *login_name(uid_t uid);

/* login_find(file, uid): the same from any file of that form. */
char *login_find(const char *file, uid_t uid);

#endif
