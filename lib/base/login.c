#include "lib/base/login.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"

enum { NAME_SIZE = 65 };

/* A line being read: name:password:uid:... */
struct entry {
	char name[NAME_SIZE];
	size_t len;		/* of the name */
	uint64_t uid;
	unsigned field;		/* colons so far */
	bool digits;		/* the third field is a number so far */
};

/* Take one byte. true: the entry is complete, and uid is the one sought. */
static bool
take(struct entry *e, char c, uint64_t uid)
{
	if (c == ':') {
		if (e->field++ == 2 && e->digits && e->uid == uid &&
		    e->len > 0 && e->len < NAME_SIZE)
			return true;
	} else if (e->field == 0) {
		if (e->len < NAME_SIZE)
			e->name[e->len++] = c;
	} else if (e->field == 2) {
		e->digits = c >= '0' && c <= '9' && e->uid <= UINT32_MAX &&
		    (e->digits || e->uid == 0);
		e->uid = e->uid * 10 + (uint64_t)(c - '0');
	}
	return false;
}

char *
login_find(const char *file, uid_t uid)
{
	struct entry e = { .len = 0 };
	char block[1024], *found = NULL;
	ssize_t n = 0, i;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	while (found == NULL && (n = read(fd, block, sizeof block)) > 0)
		for (i = 0; i < n && found == NULL; i++) {
			if (block[i] == '\n')
				e = (struct entry){ .len = 0 };
			else if (take(&e, block[i], uid))
				found = mem_dup(e.name, e.len);
		}
	close(fd);
	return found;
}

char *
login_name(uid_t uid)
{
	return login_find("/etc/passwd", uid);
}
