/*
 * TLS handshakes with a server that says what the input holds. Our random bytes
 * are always the same (fuzz.c), so that a server's answers recorded once are good
 * again; nothing is read behind a handshake that has failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bearssl-glue.h"
#include "tests/fuzz/fuzz.h"

static const char root[] =
#include "tests/fuzz/chain-root.h"
;

FUZZ(tls)
{
	struct log log = { .target = LOG_TO_NONE };
	struct tls_leaf leaf = { 0 };
	char name[40], line[1000];
	int side[2], fd = file_of(root, sizeof root - 1);
	struct tls_params p = { .host = "mail.example", .ca_file = name,
		.leaf = &leaf, .seconds = 1 };
	struct stream s = { 0 };

	file_name(name, fd);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, side) == 0);
	if (in->n > 60000)
		in->n = 60000;
	CHECK(in->n == 0 || write(side[1], in->p, in->n) == (ssize_t)in->n);
	CHECK(shutdown(side[1], SHUT_WR) == 0);
	CHECK(stream_socket_open(&s, side[0]) == 0);
	stream_step(&s, 1);
	if (tls_start(&s, &p, &log) == 0) {
		stream_puts(&s, "EHLO here\r\n");
		while (stream_line(&s, line, sizeof line) >= 0)
			CHECK(is_string(line, sizeof line));
	} else {
		CHECK(s.failed && *s.err.text && is_clean(s.err.text));
		CHECK(s.err.outcome == OUT_TEMP && s.err.certainly_not_taken);
		CHECK(stream_read(&s, line, sizeof line) < 0);
	}
	CHECK(is_clean(leaf.name_list) && is_clean(leaf.issuer));
	stream_close(&s);
	close(side[1]);
	close(fd);
}
