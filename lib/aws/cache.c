/*
 * Temporary credentials, kept so that not every message asks for new ones:
 *
 *   credentials.ROUTE   in the queue's folder, mode 0600: an ini file of one
 *                       section, which is called by the recipe that led to them
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/aws/sources.h"
#include "lib/base/base64.h"
#include "lib/base/clock.h"

enum { MARGIN_SECONDS = 300 };

/* With set-id privilege the file would be the caller's, or not for him. */
static bool
make_path(const struct aws *a, struct buf *path)
{
	if (a->config->queue == NULL || a->env == NULL)
		return false;
	buf_addf(path, "%s/credentials.%s", a->config->queue, a->route->name);
	return !path->failed;
}

/* Open for reading when nobody else can have written it, or read it; or -1. */
static int
open_own(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid() && (st.st_mode & 077) == 0))
		return fd;
	close(fd);
	return -1;
}

bool
cache_load(struct finder *f, const unsigned char key[SHA256_SIZE])
{
	struct ini_item items[] = { { .key = "id" }, { .key = "secret" },
		{ .key = "token" }, { .key = "end" }, { .key = "source" } };
	char hex[2 * SHA256_SIZE + 1];
	struct buf path = { 0 };
	struct result unused;
	bool ok = false;
	int i, fd = -1;

	hex_encode(hex, key, SHA256_SIZE);
	if (make_path(f->a, &path))
		fd = open_own(buf_str(&path));
	if (fd >= 0 && ini_read_open(fd, "", hex, items, 5, &unused) ==
	    INI_SECTION) {
		set_source(f, "%s, kept in %s", buf_str(&items[4].value),
		    buf_str(&path));
		ok = take_keys(f, answer_names, buf_str(&items[0].value),
		    buf_str(&items[1].value), buf_str(&items[2].value)) ==
		    FOUND &&
		    take_end(f, buf_str(&items[3].value)) == FOUND &&
		    f->c->expires - MARGIN_SECONDS > aws_now(f->a);
	}
	if (!ok)
		credentials_free(f->c);
	for (i = 0; i < 5; i++)
		buf_wipe(&items[i].value);
	buf_free(&path);
	return ok;
}

static bool
write_file(const char *path, const struct buf *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text->p, text->len) == (ssize_t)text->len;
	return close(fd) == 0 && ok;
}

void
cache_save(const struct aws *a, const unsigned char key[SHA256_SIZE],
    const struct credentials *c)
{
	char hex[2 * SHA256_SIZE + 1], end[CLOCK_TEXT_SIZE];
	struct buf path = { 0 }, new = { 0 }, text = { 0 };

	if (c->expires <= 0 || c->session_token == NULL || !make_path(a, &path))
		return;
	hex_encode(hex, key, SHA256_SIZE);
	buf_addf(&new, "%s.%ld", buf_str(&path), (long)getpid());
	buf_reserve(&text, 16384);
	clock_log(end, (time_t)c->expires);
	buf_addf(&text, "[%s]\nsource = %s\nend = %s\nid = %s\nsecret = %s\n"
	    "token = %s\n", hex, c->source, end, c->access_key_id,
	    c->secret_access_key, c->session_token);
	if (!text.failed && !new.failed) {
		unlink(buf_str(&new));
		if (!write_file(buf_str(&new), &text) ||
		    rename(buf_str(&new), buf_str(&path)) < 0)
			unlink(buf_str(&new));
	}
	buf_wipe(&text);
	buf_free(&new);
	buf_free(&path);
}
