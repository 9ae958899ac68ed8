/* lib/net/stream: buffers and lines over a script, the rest over real sockets. */
#include "lib/net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "tests/unit/script.h"

#define COUNT(t) (sizeof(t) / sizeof *(t))

static char big[4 * STREAM_OUT];

static void
fill_big(void)
{
	size_t i;

	for (i = 0; i < sizeof big; i++)
		big[i] = (char)('!' + i * 7 % 90);
}

static void
close_script(struct script *p, struct stream *s)
{
	stream_close(s);
	assert_true(p->closed);
	script_free(p);
}

/* --- lines --- */

static const struct {
	const char *input;
	size_t len;
	const char *line;		/* NULL: a failure... */
	const char *why;		/* ... with this text */
} lines[] = {
#define INPUT(t) .input = (t), .len = sizeof (t) - 1
	{ INPUT("220 hi\r\nrest"), .line = "220 hi" },
	{ INPUT("220 hi\nrest"), .line = "220 hi" },
	{ INPUT("\r\nrest"), .line = "" },
	{ INPUT("\nrest"), .line = "" },
	{ INPUT("a\rb\r\nrest"), .line = "a\rb" },
	{ INPUT("a\r\r\nrest"), .line = "a\r" },
	{ INPUT("\ra\nrest"), .line = "\ra" },
	{ INPUT("a\0b\0\r\nrest"), .line = "a?b?" },
	{ INPUT("\xc3\xa4\xff\r\nrest"), .line = "\xc3\xa4\xff" },
	/* Room for 9 bytes and a NUL. */
	{ INPUT("123456789\r\nrest"), .line = "123456789" },
	{ INPUT("123456789\nrest"), .line = "123456789" },
	{ INPUT("12345678\r\r\nrest"), .line = "12345678\r" },
	{ INPUT("1234567890\r\nrest"), .why = "line of more than 9 bytes" },
	{ INPUT("1234567890\nrest"), .why = "line of more than 9 bytes" },
	{ INPUT("123456789\r\r\nrest"), .why = "line of more than 9 bytes" },
	{ INPUT("123456789012345"), .why = "line of more than 9 bytes" },
	{ INPUT(""), .why = "closed the connection" },
	{ INPUT("1234"), .why = "closed the connection" },
	{ INPUT("1234\r"), .why = "closed the connection" },
	{ INPUT("1234567890"), .why = "" },
	{ INPUT("123456789\r"), .why = "closed the connection" }
};

static void
check_line(size_t i, size_t piece)
{
	const struct script_step steps[] = {
	    SAYS_N(lines[i].input, lines[i].len), CLOSES, STOP };
	struct script p;
	struct stream s;
	char line[10];
	ssize_t n;

	script_open(&p, &s, steps);
	p.piece = piece;
	memset(line, 'x', sizeof line);
	n = stream_line(&s, line, sizeof line);
	if (lines[i].line == NULL) {
		assert_int_equal(n, -1);
		assert_true(s.failed);
		if (strstr(s.err.text, lines[i].why) == NULL)
			fail_msg("%s: %s", lines[i].input, s.err.text);
	} else {
		if (n < 0)
			fail_msg("%s in %zu: %s", lines[i].input, piece,
			    s.err.text);
		assert_int_equal(n, strlen(lines[i].line));
		assert_string_equal(line, lines[i].line);
		/* What follows the line is untouched. */
		assert_int_equal(stream_line(&s, line, sizeof line), -1);
		assert_memory_equal(line, "rest", 4);
	}
	close_script(&p, &s);
}

static void
test_lines_whole_or_failed_in_pieces_of_every_size(void **state)
{
	size_t i, piece;

	(void)state;
	for (i = 0; i < COUNT(lines); i++)
		for (piece = 0; piece < 16; piece++)
			check_line(i, piece);
}

static void
test_lines_across_the_end_of_the_buffer(void **state)
{
	char input[STREAM_IN + 20], line[STREAM_IN + 20];
	const struct script_step steps[] = { SAYS_N(input, sizeof input), STOP };
	struct script p;
	struct stream s;
	size_t at;

	(void)state;
	/* The CR and the LF on every side of the edge. */
	for (at = STREAM_IN - 3; at < STREAM_IN + 3; at++) {
		memset(input, 'a', sizeof input);
		memcpy(input + at, "\r\nb\r\n", 5);
		script_open(&p, &s, steps);
		assert_int_equal(stream_line(&s, line, sizeof line), at);
		assert_int_equal(strspn(line, "a"), at);
		assert_int_equal(stream_line(&s, line, sizeof line), 1);
		assert_string_equal(line, "b");
		close_script(&p, &s);
	}
}

/* --- buffers --- */

static void
test_writes_wait_for_a_flush(void **state)
{
	static const struct script_step steps[] = { HEARS("EHLO x\r\n"), STOP };
	struct script p;
	struct stream s;

	(void)state;
	script_open(&p, &s, steps);
	assert_int_equal(stream_puts(&s, "EHLO"), 0);
	assert_int_equal(stream_write(&s, " x\r\n", 4), 0);
	assert_int_equal(p.writes, 0);
	assert_int_equal(stream_flush(&s), 0);
	assert_int_equal(p.writes, 1);
	/* Nothing to say is not said. */
	assert_int_equal(stream_flush(&s), 0);
	assert_int_equal(stream_write(&s, "", 0), 0);
	assert_int_equal(stream_flush(&s), 0);
	assert_int_equal(p.writes, 1);
	script_check(&p);
	close_script(&p, &s);
}

static void
test_reading_flushes_first(void **state)
{
	static const struct script_step steps[] = { HEARS("a"), SAYS("b\n"),
	    HEARS("c"), SAYS("d"), STOP };
	struct script p;
	struct stream s;
	char line[8];

	(void)state;
	script_open(&p, &s, steps);
	assert_int_equal(stream_puts(&s, "a"), 0);
	assert_int_equal(stream_line(&s, line, sizeof line), 1);
	assert_string_equal(line, "b");
	assert_int_equal(stream_puts(&s, "c"), 0);
	assert_int_equal(stream_read(&s, line, sizeof line), 1);
	assert_int_equal(line[0], 'd');
	script_check(&p);
	assert_int_equal(s.flights, 2);
	close_script(&p, &s);
}

static void
test_input_that_is_there_is_read_without_a_flush(void **state)
{
	static const struct script_step steps[] = { SAYS("1\n2\n"), STOP };
	struct script p;
	struct stream s;
	char line[8];

	(void)state;
	script_open(&p, &s, steps);
	assert_int_equal(stream_line(&s, line, sizeof line), 1);
	assert_int_equal(stream_puts(&s, "answer to 1"), 0);
	assert_int_equal(stream_line(&s, line, sizeof line), 1);
	assert_int_equal(p.writes, 0);
	close_script(&p, &s);
}

static void
test_full_buffers_leave_at_once(void **state)
{
	static const size_t pieces[] = { 1, 100, STREAM_OUT - 1, STREAM_OUT,
		STREAM_OUT + 1, sizeof big };
	const struct script_step steps[] = { HEARS_N(big, sizeof big), STOP };
	struct script p;
	struct stream s;
	size_t i, at, n;

	(void)state;
	fill_big();
	for (i = 0; i < COUNT(pieces); i++) {
		script_open(&p, &s, steps);
		for (at = 0; at < sizeof big; at += n) {
			n = sizeof big - at < pieces[i] ? sizeof big - at :
			    pieces[i];
			assert_int_equal(stream_write(&s, big + at, n), 0);
			assert_int_equal(p.writes, (at + n) / STREAM_OUT);
			assert_int_equal(p.wrote.len,
			    (at + n) / STREAM_OUT * STREAM_OUT);
		}
		assert_int_equal(p.first_write, STREAM_OUT);
		script_check(&p);
		close_script(&p, &s);
	}
}

static void
test_reading_takes_what_is_there_and_no_more(void **state)
{
	static const struct script_step steps[] = { SAYS("0123456789"), CLOSES,
	    STOP };
	struct script p;
	struct stream s;
	char data[20];

	(void)state;
	script_open(&p, &s, steps);
	assert_true(stream_has_input(&s));
	assert_int_equal(stream_buffered(&s), 0);
	assert_int_equal(stream_read(&s, data, 3), 3);
	assert_memory_equal(data, "012", 3);
	assert_int_equal(stream_buffered(&s), 7);
	assert_int_equal(stream_read(&s, data, sizeof data), 7);
	assert_memory_equal(data, "3456789", 7);
	assert_int_equal(stream_buffered(&s), 0);
	/* The end of input counts as input, and stays. */
	assert_true(stream_has_input(&s));
	assert_int_equal(stream_read(&s, data, sizeof data), 0);
	assert_int_equal(stream_read(&s, data, sizeof data), 0);
	assert_true(s.eof);
	assert_false(s.failed);
	assert_true(stream_has_input(&s));
	close_script(&p, &s);
}

/* --- failures --- */

static void
test_the_first_failure_stays(void **state)
{
	static const struct script_step steps[] = { SAYS("abc\n"), STOP };
	struct script p;
	struct stream s;
	char line[8];

	(void)state;
	script_open(&p, &s, steps);
	assert_int_equal(stream_read(&s, line, 1), 1);
	assert_int_equal(stream_puts(&s, "before"), 0);
	assert_int_equal(stream_fail(&s, CAUSE_OPERATOR, "first %d", 1), -1);
	assert_int_equal(stream_fail(&s, CAUSE_ROUTE, "second"), -1);
	assert_int_equal(stream_write(&s, "x", 1), -1);
	assert_int_equal(stream_puts(&s, "x"), -1);
	assert_int_equal(stream_flush(&s), -1);
	s.in_at = s.in_len;
	assert_int_equal(stream_read(&s, line, 1), -1);
	assert_int_equal(stream_line(&s, line, sizeof line), -1);
	assert_string_equal(s.err.text, "peer: first 1");
	assert_int_equal(s.err.cause, CAUSE_OPERATOR);
	assert_int_equal(s.err.outcome, OUT_TEMP);
	assert_true(s.err.certainly_not_taken);
	assert_int_equal(p.writes, 0);
	close_script(&p, &s);
}

static void
test_failures_of_ops_stay_too(void **state)
{
	static const struct script_step steps[] = { SAYS("a"), STOP };
	struct script p;
	struct stream s;
	char c[2];

	(void)state;
	script_open(&p, &s, steps);
	assert_int_equal(stream_read(&s, c, 1), 1);
	assert_int_equal(stream_read(&s, c, 1), -1);
	assert_string_equal(s.err.text, "peer: timed out");
	assert_int_equal(stream_puts(&s, "x"), -1);
	close_script(&p, &s);
}

static void
test_texts_are_clipped_and_cleaned(void **state)
{
	static const struct script_step steps[] = { STOP };
	struct script p;
	struct stream s;

	(void)state;
	fill_big();
	script_open(&p, &s, steps);
	s.peer[0] = '\0';
	stream_fail(&s, CAUSE_ROUTE, "a\r\nb\x1b %.2000s", big);
	assert_memory_equal(s.err.text, "a??b? !(/", 9);
	assert_int_equal(strlen(s.err.text), sizeof s.err.text - 1);
	close_script(&p, &s);
}

static void
test_reviving_forgets_the_failure_and_what_was_not_written(void **state)
{
	static const struct script_step steps[] = { HEARS("0123"),
	    SAYS("421 too much\r\n"), HEARS_ANY, STOP };
	struct script p;
	struct stream s;
	char line[20];

	(void)state;
	script_open(&p, &s, steps);
	p.write_limit = 5;
	stream_puts(&s, "0123456789");
	assert_int_equal(stream_flush(&s), -1);
	stream_puts(&s, "more");
	stream_revive(&s, 2);
	assert_in_range(stream_wait_ms(&s), 1, 2000);
	assert_int_equal(stream_line(&s, line, sizeof line), 12);
	assert_string_equal(line, "421 too much");
	assert_int_equal(p.wrote.len, 5);
	close_script(&p, &s);

	script_open(&p, &s, steps);
	stream_puts(&s, "0123");
	stream_fail(&s, CAUSE_ROUTE, "elsewhere");
	stream_revive(&s, 2);
	assert_int_equal(stream_flush(&s), 0);
	assert_int_equal(p.writes, 0);
	close_script(&p, &s);
}

/* --- yielding to input --- */

static void
test_input_before_a_full_block_ends_the_writing(void **state)
{
	static const struct script_step steps[] = { HEARS_BYTES(STREAM_OUT),
	    SAYS("552 stop\r\n"), HEARS_ANY, STOP };
	struct script p;
	struct stream s;
	char line[20];

	(void)state;
	fill_big();
	script_open(&p, &s, steps);
	s.yield = true;
	assert_int_equal(stream_write(&s, big, 3 * STREAM_OUT), 1);
	assert_int_equal(p.wrote.len, STREAM_OUT);
	/* What was not written is dropped, not sent later. */
	s.yield = false;
	assert_int_equal(stream_flush(&s), 0);
	assert_int_equal(stream_line(&s, line, sizeof line), 8);
	assert_string_equal(line, "552 stop");
	assert_int_equal(p.wrote.len, STREAM_OUT);
	close_script(&p, &s);
}

static void
test_without_yield_input_waits_until_all_is_written(void **state)
{
	const struct script_step steps[] = { HEARS_N(big, STREAM_OUT),
	    SAYS("552 stop\r\n"), HEARS_N(big + STREAM_OUT, STREAM_OUT), STOP };
	struct script p;
	struct stream s;
	char line[20];

	(void)state;
	fill_big();
	script_open(&p, &s, steps);
	assert_int_equal(stream_write(&s, big, 2 * STREAM_OUT), 0);
	assert_int_equal(stream_line(&s, line, sizeof line), 8);
	script_check(&p);
	close_script(&p, &s);
}

static void
test_a_flush_yields_when_the_peer_takes_no_more(void **state)
{
	static const struct script_step steps[] = { HEARS("01234"),
	    SAYS("552 stop\r\n"), BLOCKS, STOP };
	struct script p;
	struct stream s;
	char line[20];

	(void)state;
	script_open(&p, &s, steps);
	s.yield = true;
	assert_int_equal(stream_puts(&s, "0123456789"), 0);
	assert_int_equal(stream_flush(&s), 1);
	s.yield = false;
	assert_false(s.failed);
	assert_int_equal(stream_line(&s, line, sizeof line), 8);
	assert_memory_equal(p.wrote.p, "01234", p.wrote.len);
	assert_int_equal(p.wrote.len, 5);
	close_script(&p, &s);
}

/* --- opening, closing, deadlines --- */

static void
test_closing_is_always_fine(void **state)
{
	struct stream s = { .fd = -1 };
	int fd[2];

	(void)state;
	stream_close(&s);
	stream_close(&s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(stream_socket_open(&s, fd[0]), 0);
	stream_close(&s);
	assert_int_equal(fcntl(fd[0], F_GETFD), -1);
	assert_null(s.ops);
	stream_close(&s);
	close(fd[1]);
}

static void
test_a_zeroed_stream_does_not_close_stdin(void **state)
{
	struct stream s;

	(void)state;
	if (fcntl(0, F_GETFD) < 0)
		assert_int_equal(open("/dev/null", O_RDONLY), 0);
	memset(&s, 0, sizeof s);
	stream_close(&s);
	assert_int_not_equal(fcntl(0, F_GETFD), -1);
}

static void
test_a_descriptor_that_is_not_open_is_refused(void **state)
{
	struct stream s;
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	close(fd);
	assert_int_equal(stream_socket_open(&s, fd), -1);
}

static void
test_a_step_ends_with_the_session_at_the_latest(void **state)
{
	struct stream s = { .fd = -1 };

	(void)state;
	stream_step(&s, 100);
	assert_in_range(stream_wait_ms(&s), 99000, 100000);
	s.session_end = clock_ms() + 5000;
	stream_step(&s, 100);
	assert_int_equal(s.deadline, s.session_end);
	assert_in_range(stream_wait_ms(&s), 4000, 5000);
	stream_step(&s, 2);
	assert_in_range(stream_wait_ms(&s), 1000, 2000);
	stream_step(&s, 0);
	assert_int_equal(stream_wait_ms(&s), 0);
	s.deadline = clock_ms() - 1000;
	assert_int_equal(stream_wait_ms(&s), 0);
	s.session_end = 0;
	stream_step(&s, 1000000000);
	assert_int_equal(stream_wait_ms(&s), INT32_MAX);
}

/* --- real sockets --- */

enum { SOON_MS = 60, LATE_MS = 5000 };

static void
open_pair(struct stream *s, int *peer)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(stream_socket_open(s, fd[0]), 0);
	*peer = fd[1];
	s->deadline = clock_ms() + LATE_MS;
}

static void
test_sockets_carry_bytes_both_ways(void **state)
{
	struct stream s;
	char data[16];
	int peer;

	(void)state;
	open_pair(&s, &peer);
	assert_false(stream_has_input(&s));
	assert_int_equal(write(peer, "hello\r\nyou", 10), 10);
	assert_true(stream_has_input(&s));
	assert_int_equal(stream_line(&s, data, sizeof data), 5);
	assert_string_equal(data, "hello");
	assert_int_equal(stream_puts(&s, "answer"), 0);
	assert_int_equal(stream_flush(&s), 0);
	assert_int_equal(read(peer, data, sizeof data), 6);
	assert_memory_equal(data, "answer", 6);
	assert_int_equal(stream_read(&s, data, sizeof data), 3);
	/* It was all there already: nobody waited. */
	assert_int_equal(s.flights, 0);
	shutdown(peer, SHUT_WR);
	assert_true(stream_has_input(&s));
	assert_int_equal(stream_read(&s, data, sizeof data), 0);
	/* The peer's end of input does not end ours. */
	assert_int_equal(stream_puts(&s, "more"), 0);
	assert_int_equal(stream_flush(&s), 0);
	assert_int_equal(read(peer, data, sizeof data), 4);
	close(peer);
	stream_close(&s);
}

static void
check_timed_out(const struct stream *s, int64_t began)
{
	int64_t took = clock_ms() - began;

	assert_true(s->failed);
	assert_string_equal(s->err.text, "timed out");
	assert_int_equal(s->err.cause, CAUSE_ROUTE);
	assert_in_range(took, SOON_MS - 1, LATE_MS - 1);
}

static void
test_reading_from_a_silent_peer_times_out(void **state)
{
	struct stream s;
	int64_t began = clock_ms();
	char c;
	int peer;

	(void)state;
	open_pair(&s, &peer);
	s.deadline = began + SOON_MS;
	assert_int_equal(stream_read(&s, &c, 1), -1);
	check_timed_out(&s, began);
	assert_int_equal(s.flights, 1);
	close(peer);
	stream_close(&s);
}

static void
test_writing_to_a_peer_that_takes_nothing_times_out(void **state)
{
	struct stream s;
	int64_t began = clock_ms();
	int peer, i, rc = 0;

	(void)state;
	open_pair(&s, &peer);
	s.deadline = began + SOON_MS;
	for (i = 0; i < 1000 && rc == 0; i++)
		rc = stream_write(&s, big, sizeof big);
	assert_int_equal(rc, -1);
	check_timed_out(&s, began);
	close(peer);
	stream_close(&s);
}

static void
nap(int ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000L };

	nanosleep(&t, NULL);
}

static pid_t
start_child(struct stream *s)
{
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0)
		close(s->fd);
	return pid;
}

static void
end_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_dripping_does_not_move_the_deadline(void **state)
{
	struct stream s;
	int64_t began = clock_ms();
	char line[4096];
	int peer, i;
	pid_t pid;

	(void)state;
	open_pair(&s, &peer);
	pid = start_child(&s);
	if (pid == 0) {
		for (i = 0; i < 1000; i++) {
			if (send(peer, "x", 1, MSG_NOSIGNAL) < 0)
				break;
			nap(10);
		}
		_exit(0);
	}
	close(peer);
	s.deadline = began + SOON_MS;
	assert_int_equal(stream_line(&s, line, sizeof line), -1);
	check_timed_out(&s, began);
	stream_close(&s);
	end_child(pid);
}

static void
test_input_is_taken_while_the_peer_takes_none(void **state)
{
	enum { TOTAL = 1 << 20, PART = 500, PARTS = 8 };
	struct stream s;
	char data[PART * PARTS];
	int peer, i, small = 1;
	size_t left;
	ssize_t n;
	pid_t pid;

	(void)state;
	open_pair(&s, &peer);
	setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	pid = start_child(&s);
	if (pid == 0) {
		/* It reads only after all that it says was taken. */
		for (i = 0; i < PARTS; i++)
			if (write(peer, big, PART) != PART)
				_exit(1);
		for (left = TOTAL; left > 0; left -= (size_t)n) {
			n = read(peer, big, sizeof big);
			if (n <= 0)
				_exit(2);
		}
		_exit(0);
	}
	close(peer);
	for (left = TOTAL; left > 0; left -= sizeof big)
		if (stream_write(&s, big, sizeof big) != 0)
			fail_msg("%s", s.err.text);
	assert_int_equal(stream_flush(&s), 0);
	for (left = sizeof data; left > 0; left -= (size_t)n) {
		n = stream_read(&s, data, left);
		assert_true(n > 0);
	}
	assert_int_equal(stream_read(&s, data, 1), 0);
	stream_close(&s);
	end_child(pid);
}

static int
write_until_it_ends(struct stream *s)
{
	int i, rc = 0;

	for (i = 0; i < 1000 && rc == 0; i++)
		rc = stream_write(s, big, sizeof big);
	return rc;
}

static void
test_yield_to_input_of_a_peer_that_takes_nothing(void **state)
{
	struct stream s;
	int64_t began = clock_ms();
	char line[20];
	pid_t pid;
	int peer;

	(void)state;
	open_pair(&s, &peer);
	pid = start_child(&s);
	if (pid == 0) {
		/* Late enough that our buffer is full by then. */
		nap(SOON_MS);
		if (write(peer, "413 stop\n", 9) != 9)
			_exit(1);
		nap(SOON_MS);
		_exit(0);
	}
	s.yield = true;
	assert_int_equal(write_until_it_ends(&s), 1);
	assert_true(clock_ms() - began < LATE_MS);
	assert_false(s.failed);
	assert_int_equal(stream_buffered(&s), 9);
	s.yield = false;
	/* Here the peer takes nothing, so nothing may be left to flush. */
	s.deadline = clock_ms() + SOON_MS;
	assert_int_equal(stream_line(&s, line, sizeof line), 8);
	assert_string_equal(line, "413 stop");
	close(peer);
	stream_close(&s);
	end_child(pid);
}

static void
test_yield_to_the_end_of_input(void **state)
{
	struct stream s;
	char c;
	int peer;

	(void)state;
	open_pair(&s, &peer);
	shutdown(peer, SHUT_WR);
	s.yield = true;
	assert_int_equal(write_until_it_ends(&s), 1);
	s.yield = false;
	assert_int_equal(stream_read(&s, &c, 1), 0);
	assert_false(s.failed);
	close(peer);
	stream_close(&s);
}

static void
test_without_yield_a_half_closed_peer_gets_everything(void **state)
{
	enum { TOTAL = 1 << 20 };
	struct stream s;
	size_t left;
	ssize_t n;
	pid_t pid;
	int peer;

	(void)state;
	open_pair(&s, &peer);
	pid = start_child(&s);
	if (pid == 0) {
		shutdown(peer, SHUT_WR);
		nap(SOON_MS);
		for (left = TOTAL; left > 0; left -= (size_t)n) {
			n = read(peer, big, sizeof big);
			if (n <= 0)
				_exit(2);
		}
		_exit(0);
	}
	close(peer);
	for (left = TOTAL; left > 0; left -= sizeof big)
		if (stream_write(&s, big, sizeof big) != 0)
			fail_msg("%s", s.err.text);
	assert_int_equal(stream_flush(&s), 0);
	/* Seen once, so that nobody polls for it again and again. */
	assert_true(s.eof);
	stream_close(&s);
	end_child(pid);
}

static void
test_a_peer_that_is_gone_is_an_error_and_no_signal(void **state)
{
	struct stream s;
	char line[20];
	int peer;

	(void)state;
	open_pair(&s, &peer);
	assert_int_equal(write(peer, "421 bye\n", 8), 8);
	close(peer);
	assert_int_equal(write_until_it_ends(&s), -1);
	assert_string_equal(s.err.text, "the peer reset the connection");
	/* What it said before can still be read. */
	stream_revive(&s, 2);
	assert_int_equal(stream_line(&s, line, sizeof line), 7);
	assert_string_equal(line, "421 bye");
	stream_close(&s);
}

static void
test_a_reset_is_no_end_of_input(void **state)
{
	struct stream s;
	char c;
	int peer;

	(void)state;
	open_pair(&s, &peer);
	assert_int_equal(stream_puts(&s, "unread"), 0);
	assert_int_equal(stream_flush(&s), 0);
	/* Closing with unread input resets. */
	close(peer);
	assert_int_equal(stream_read(&s, &c, 1), -1);
	assert_string_equal(s.err.text, "the peer reset the connection");
	assert_false(s.eof);
	stream_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_lines_whole_or_failed_in_pieces_of_every_size),
		cmocka_unit_test(test_lines_across_the_end_of_the_buffer),
		cmocka_unit_test(test_writes_wait_for_a_flush),
		cmocka_unit_test(test_reading_flushes_first),
		cmocka_unit_test(
		    test_input_that_is_there_is_read_without_a_flush),
		cmocka_unit_test(test_full_buffers_leave_at_once),
		cmocka_unit_test(test_reading_takes_what_is_there_and_no_more),
		cmocka_unit_test(test_the_first_failure_stays),
		cmocka_unit_test(test_failures_of_ops_stay_too),
		cmocka_unit_test(test_texts_are_clipped_and_cleaned),
		cmocka_unit_test(
		    test_reviving_forgets_the_failure_and_what_was_not_written),
		cmocka_unit_test(
		    test_input_before_a_full_block_ends_the_writing),
		cmocka_unit_test(
		    test_without_yield_input_waits_until_all_is_written),
		cmocka_unit_test(
		    test_a_flush_yields_when_the_peer_takes_no_more),
		cmocka_unit_test(test_closing_is_always_fine),
		cmocka_unit_test(test_a_zeroed_stream_does_not_close_stdin),
		cmocka_unit_test(
		    test_a_descriptor_that_is_not_open_is_refused),
		cmocka_unit_test(
		    test_a_step_ends_with_the_session_at_the_latest),
		cmocka_unit_test(test_sockets_carry_bytes_both_ways),
		cmocka_unit_test(test_reading_from_a_silent_peer_times_out),
		cmocka_unit_test(
		    test_writing_to_a_peer_that_takes_nothing_times_out),
		cmocka_unit_test(test_dripping_does_not_move_the_deadline),
		cmocka_unit_test(test_input_is_taken_while_the_peer_takes_none),
		cmocka_unit_test(
		    test_yield_to_input_of_a_peer_that_takes_nothing),
		cmocka_unit_test(test_yield_to_the_end_of_input),
		cmocka_unit_test(
		    test_without_yield_a_half_closed_peer_gets_everything),
		cmocka_unit_test(
		    test_a_peer_that_is_gone_is_an_error_and_no_signal),
		cmocka_unit_test(test_a_reset_is_no_end_of_input)
	};

	fill_big();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
