/*
 * Line ends: LF, CRLF and bare CR all become CRLF, once, here and nowhere else,
 * so that no bare CR or LF ever reaches a wire (SMTP smuggling).
 */
#ifndef SENDROUTE_LINES_H
#define SENDROUTE_LINES_H

#include <stdbool.h>
#include <stddef.h>

enum {
	LINE_MAX_BYTES = 998,		/* RFC 5322 section 2.1.1, without CRLF */
	LINES_BUFFER = 8192
};

/* What a line with a lone dot means (sendmail's -i). */
enum lone_dot { DOT_IS_DATA, DOT_ENDS, DOT_ENDS_WHEN_LAST };

struct lines {
	/* Receives normalised bytes; 0, or -1 to stop. */
	int (*sink)(void *ctx, const void *data, size_t n);
	void *ctx;
	enum lone_dot dot;
	/*
	 * The sink is called for each line by itself, at most LINE_MAX_BYTES at
	 * a time, and may change by_line before the next byte.
	 */
	bool by_line;

	/* What has been seen. */
	bool has_8bit, has_dot_line, has_nul, ended;
	bool has_long;		/* a line over LINE_MAX_BYTES was handed on */

	/* State. */
	bool after_cr;		/* a CR was taken as a line end */
	bool lone;		/* the line so far is a dot, not yet handed on */
	bool held;		/* a whole lone-dot line, not yet handed on */
	size_t column;		/* bytes of the line handed on so far */
	size_t out_len;
	unsigned char out[LINES_BUFFER];	/* unused while by_line */
};

/*
 * lines_feed(l, data, n): NUL becomes a space. Behind a lone dot that ends the
 * message (`ended`) everything is ignored. 0, or -1 as the sink said.
 */
int lines_feed(struct lines *l, const void *data, size_t n);

/* lines_finish(l): the input ends; a last line without its end gets it. */
int lines_finish(struct lines *l);

#endif
