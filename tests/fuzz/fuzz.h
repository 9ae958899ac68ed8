/*
 * What the fuzz targets stand on. A target is a file fuzz_NAME.c with
 *
 *	FUZZ(NAME) { ... in->p[0..in->n) ... }
 *
 * that takes any bytes and CHECKs what must hold, not only that nothing crashes.
 * All targets are in one program (main.c), which libFuzzer, AFL++ or nobody
 * drives; where a target first takes bytes for choices, seeds have letters there.
 */
#ifndef SENDROUTE_FUZZ_H
#define SENDROUTE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/net/stream.h"

/* What is left of an input. */
struct input {
	const unsigned char *p;
	size_t n;
};

#define FUZZ(name) \
	void fuzz_##name(struct input *in); \
	void fuzz_##name(struct input *in)

/* CHECK(what): ends the program, saying where, when it does not hold. */
#define CHECK(what) \
	((what) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #what))
_Noreturn void fuzz_failed(const char *file, int line, const char *what);

/* in_byte(in): the next byte, 0 when there is none. */
unsigned in_byte(struct input *in);

/* in_line(in): up to the next LF, which is passed; a heap string, NULs kept out. */
char *in_line(struct input *in);

/* in_text(in): all that is left as a heap string up to its first NUL. */
char *in_text(struct input *in);

/* in_copy(in): all that is left, in memory of just that size. */
unsigned char *in_copy(const struct input *in);

/* A file in memory with these bytes, to be closed; read from its beginning. */
int file_of(const void *data, size_t n);

/* The name of such a file, for what opens it by name. */
void file_name(char out[40], int fd);

/* No control characters: what may stand in a line for a person. */
bool is_clean(const char *s);

/* The most that fits is a string: there is a NUL within size bytes. */
bool is_string(const char *s, size_t size);

/*
 * A peer that says what the input holds. Each '|' in it is a pause: what stands
 * behind it comes only with the next read, which in life would wait for it, so
 * that it is not there yet when the stream is asked. In the end it closes the
 * connection, or is silent.
 */
struct peer {
	struct input in;
	size_t piece;		/* most bytes at a time; 0: no limit */
	bool silent;		/* at the end */
	bool at_pause;
	struct buf said;	/* what was read of it, pauses left out */
	struct buf wrote;	/* what the client wrote */
	bool tls;		/* tls_start() succeeds; else it fails */
	bool in_tls;
	size_t tls_said, tls_wrote;	/* lengths when it did */
};

/* peer_open(p, s): the rest set before. peer_free(p): after stream_close(s). */
void peer_open(struct peer *p, struct stream *s);
void peer_free(struct peer *p);

/* The naive form of lines.h and of a mail's text: see fuzz.c. */
void naive_lines(struct buf *out, const void *data, size_t n);

#endif
