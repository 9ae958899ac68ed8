/* Proxies: URLs, exceptions, CONNECT and SOCKS 5 over a scripted peer. */
#include "lib/net/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/script.h"

#define COUNT(t) (sizeof(t) / sizeof *(t))

/* --- URLs --- */

static const struct {
	const char *url;
	bool socks, login;
	const char *host;
	unsigned port;
	const char *user, *password;
} good[] = {
	{ "http://proxy.test:3128", 0, 0, "proxy.test", 3128, "", "" },
	{ "HTTP://proxy.test", 0, 0, "proxy.test", 80, "", "" },
	{ "http://proxy.test:3128/", 0, 0, "proxy.test", 3128, "", "" },
	{ "proxy.test:3128", 0, 0, "proxy.test", 3128, "", "" },
	{ "u:p@proxy.test:3128", 0, 1, "proxy.test", 3128, "u", "p" },
	{ "http://u@proxy.test", 0, 1, "proxy.test", 80, "u", "" },
	{ "http://u:@proxy.test", 0, 1, "proxy.test", 80, "u", "" },
	{ "http://a%40b:p%3Aq%2f%25:r@[2001:db8::1]:8080", 0, 1, "2001:db8::1",
	    8080, "a@b", "p:q/%:r" },
	{ "http://u:p@ss@192.0.2.1:1", 0, 1, "192.0.2.1", 1, "u", "p@ss" },
	{ "http://u:gr\xc3\xbc\xc3\x9f%C3%A4@h", 0, 1, "h", 80, "u",
	    "gr\xc3\xbc\xc3\x9f\xc3\xa4" },
	{ "socks5://h", 1, 0, "h", 1080, "", "" },
	{ "socks5h://h", 1, 0, "h", 1080, "", "" },
	{ "socks5://h:80", 1, 0, "h", 80, "", "" },
	{ "Socks5H://h:1081", 1, 0, "h", 1081, "", "" },
	{ "socks5://[::1]", 1, 0, "::1", 1080, "", "" },
	{ "socks5://a%3Ab:c@h:9050/", 1, 1, "h", 9050, "a:b", "c" }
};

static const char *const bad[] = {
	"", "http://", "http:///", "http://:3128", "http://h:", "http://h:0",
	"http://h:65536", "http://h:80x", "http://h/path", "http://h//",
	"http://h?x", "http://h#x", "http://h h", "http://@h", "http://:p@h",
	"http://a%3Ab:c@h", "http://u:%0d%0aX@h", "http://u%00:p@h",
	"http://u:p%7f@h", "http://u:p%1@h", "http://u:p%", "http://u:p%zz@h",
	"http://u:p\r\n@h", "http://u:p\t@h", "ftp://h", "socks4://h",
	"socks://h", "socks5:h", "https://h:3128", "HTTPS://u:p@h",
	"http://[::1", "http://::1:80", "http://u:p@", "http://h\r\nX: y"
};

static void
urls(void **state)
{
	struct proxy p;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(good); i++) {
		if (proxy_parse(good[i].url, &p) != NULL)
			fail_msg("%s is refused", good[i].url);
		assert_int_equal(p.socks, good[i].socks);
		assert_int_equal(p.login, good[i].login);
		assert_string_equal(p.at.host, good[i].host);
		assert_int_equal(p.at.port, good[i].port);
		assert_string_equal(p.user, good[i].user);
		assert_string_equal(p.password, good[i].password);
	}
	for (i = 0; i < COUNT(bad); i++)
		if (proxy_parse(bad[i], &p) == NULL)
			fail_msg("\"%s\" is taken", bad[i]);
	assert_non_null(strstr(proxy_parse("https://h", &p), "TLS"));
}

static void
logins_of_every_length(void **state)
{
	char url[2 * PROXY_LOGIN_MAX + 40];
	struct proxy p;
	int n;

	(void)state;
	for (n = PROXY_LOGIN_MAX - 1; n <= PROXY_LOGIN_MAX + 1; n++) {
		snprintf(url, sizeof url, "http://%0*d:p@h", n, 7);
		assert_int_equal(proxy_parse(url, &p) == NULL,
		    n <= PROXY_LOGIN_MAX);
		snprintf(url, sizeof url, "socks5://u:%0*d@h", n, 7);
		assert_int_equal(proxy_parse(url, &p) == NULL,
		    n <= PROXY_LOGIN_MAX);
		if (n <= PROXY_LOGIN_MAX)
			assert_int_equal(strlen(p.password), n);
	}
	/* A host that fits, and one that does not. */
	for (n = 254; n <= 257; n++) {
		snprintf(url, sizeof url, "http://%0*d", n, 7);
		assert_int_equal(proxy_parse(url, &p) == NULL, n <= 255);
	}
}

/* --- NO_PROXY --- */

static const struct {
	const char *list, *host;
	unsigned port;
	bool excepted;
} exceptions[] = {
	{ "", "a.example.com", 443, false },
	{ " , ,", "a.example.com", 443, false },
	{ "*", "a.example.com", 443, true },
	{ "x,*", "2001:db8::1", 443, true },
	{ "example.com", "example.com", 443, true },
	{ "example.com", "EXAMPLE.com", 443, true },
	{ "example.com", "a.b.example.com", 443, true },
	{ "example.com", "notexample.com", 443, false },
	{ "example.com", "example.com.evil.test", 443, false },
	{ "example.com", "com", 443, false },
	{ ".example.com", "a.example.com", 443, true },
	{ ".example.com", "example.com", 443, true },
	{ "*.example.com", "a.example.com", 443, true },
	{ ".", "a.example.com", 443, false },
	{ "a.test, example.com ,b.test", "x.example.com", 443, true },
	{ "a.test example.com", "x.example.com", 443, true },
	{ "example.com:443", "example.com", 443, true },
	{ "example.com:8443", "example.com", 443, false },
	{ "example.com:", "example.com", 443, false },
	{ ":443", "example.com", 443, false },
	{ "192.0.2.1", "192.0.2.1", 443, true },
	{ "192.0.2.1", "192.0.2.10", 443, false },
	{ "2.1", "192.0.2.1", 443, false },
	{ "192.0.2.1:443", "192.0.2.1", 443, true },
	{ "192.0.2.1:80", "192.0.2.1", 443, false },
	{ "192.0.2.0/24", "192.0.2.200", 443, true },
	{ "192.0.2.0/24", "192.0.3.1", 443, false },
	{ "192.0.2.128/25", "192.0.2.127", 443, false },
	{ "192.0.2.128/25", "192.0.2.129", 443, true },
	{ "192.0.2.1/32", "192.0.2.1", 443, true },
	{ "192.0.2.1/31", "192.0.2.0", 443, true },
	{ "192.0.2.1/33", "192.0.2.1", 443, false },
	{ "0.0.0.0/0", "192.0.2.1", 443, true },
	{ "0.0.0.0/0", "2001:db8::1", 443, false },
	{ "0.0.0.0/0", "example.com", 443, false },
	{ "192.0.2.0/", "192.0.2.0", 443, false },
	{ "192.0.2.0/x", "192.0.2.0", 443, false },
	{ "2001:db8::1", "2001:db8:0::1", 443, true },
	{ "2001:db8::1", "2001:db8::2", 443, false },
	{ "[2001:db8::1]", "2001:db8::1", 443, true },
	{ "[2001:db8::1]:443", "2001:db8::1", 443, true },
	{ "[2001:db8::1]:444", "2001:db8::1", 443, false },
	{ "2001:db8::/32", "2001:db8:ffff::1", 443, true },
	{ "2001:db8::/32", "2001:db9::1", 443, false },
	{ "2001:db8::/129", "2001:db8::", 443, false },
	{ "example.com/8", "example.com", 443, false },
	{ "[", "example.com", 443, false }, { "[]", "example.com", 443, false },
	{ "]:443", "example.com", 443, false }
};

static void
no_proxy(void **state)
{
	char list[400];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(exceptions); i++)
		if (proxy_is_excepted(exceptions[i].list, exceptions[i].host,
		    exceptions[i].port) != exceptions[i].excepted)
			fail_msg("\"%s\" for %s", exceptions[i].list,
			    exceptions[i].host);
	/* An entry that is too long is none, and no end of the list. */
	snprintf(list, sizeof list, "%0350d,example.com", 0);
	assert_true(proxy_is_excepted(list, "example.com", 443));
}

/* --- one tunnel --- */

struct run {
	struct script p;
	struct stream s;
	int rc;
};

struct knobs { size_t piece, cut_at; enum script_cut cut_as; };

static void
run(struct run *r, const char *url, const char *host, unsigned port,
    const struct script_step *steps, const struct knobs *k)
{
	struct proxy p;

	assert_null(proxy_parse(url, &p));
	script_open(&r->p, &r->s, steps);
	if (k) {
		r->p.piece = k->piece;
		r->p.cut_at = k->cut_at;
		r->p.cut_as = k->cut_as;
	}
	r->rc = proxy_tunnel(&r->s, &p, host, port, NULL);
	script_check(&r->p);
	if (r->rc < 0) {
		assert_true(r->s.failed);
		assert_int_equal(r->s.err.outcome, OUT_TEMP);
		assert_true(r->s.err.certainly_not_taken);
		assert_memory_equal(r->s.err.text, "proxy peer: ", 12);
		assert_string_equal(r->s.via, "");
		/* Whatever it was: no secret in it. */
		assert_null(strstr(r->s.err.text, "s3cret"));
	} else {
		assert_false(r->s.failed);
		assert_string_equal(r->s.via, "peer");
	}
}

static void
finish(struct run *r)
{
	stream_close(&r->s);
	script_free(&r->p);
}

static void
works(const char *url, const char *host, unsigned port,
    const struct script_step *steps, const char *peer, const char *behind)
{
	char line[80] = "";
	struct run r;
	struct knobs k = { .cut_at = SIZE_MAX };

	for (k.piece = 0; k.piece < 3; k.piece++) {
		run(&r, url, host, port, steps, &k);
		if (r.rc < 0)
			fail_msg("%s", r.s.err.text);
		assert_string_equal(r.s.peer, peer);
		/* What the host says first is not lost, and nothing else comes. */
		if (*behind) {
			assert_true(stream_line(&r.s, line, sizeof line) > 0);
			assert_string_equal(line, behind);
		}
		assert_false(stream_has_input(&r.s));
		finish(&r);
	}
}

static void
fails(const char *url, const struct script_step *steps, enum cause cause,
    const char *text)
{
	char whole[300];
	struct run r;

	run(&r, url, "smtp.test", 587, steps, NULL);
	assert_int_equal(r.rc, -1);
	snprintf(whole, sizeof whole, "proxy peer: %s", text);
	assert_string_equal(r.s.err.text, whole);
	assert_int_equal(r.s.err.cause, cause);
	finish(&r);
}

/* --- HTTP --- */

#define ASK "CONNECT smtp.test:587 HTTP/1.1\r\nHost: smtp.test:587\r\n"

static void
connect_byte_for_byte(void **state)
{
	static const struct script_step plain[] = {
		HEARS(ASK "\r\n"),
		SAYS("HTTP/1.1 200 Connection established\r\n\r\n"), STOP
	};
	static const struct script_step login[] = {
		HEARS(ASK "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
		    "\r\n\r\n"), SAYS("HTTP/1.0 200 OK\r\n\r\n"), STOP
	};
	static const struct script_step v6[] = {
		HEARS("CONNECT [2001:db8::1]:465 HTTP/1.1\r\n"
		    "Host: [2001:db8::1]:465\r\n\r\n"),
		SAYS("HTTP/1.1 200 OK\r\n\r\n"), STOP
	};

	(void)state;
	works("http://h", "smtp.test", 587, plain, "smtp.test:587 via peer", "");
	works("http://Aladdin:open%20sesame@h", "smtp.test", 587, login,
	    "smtp.test:587 via peer", "");
	works("http://h", "2001:db8::1", 465, v6, "[2001:db8::1]:465 via peer",
	    "");
	works("http://h", "[2001:db8::1]", 465, v6,
	    "[2001:db8::1]:465 via peer", "");
}

/* Both at their longest, in every remainder of base64. */
static void
the_longest_login(void **state)
{
	char url[2 * PROXY_LOGIN_MAX + 40];
	struct run r;
	int n;

	(void)state;
	for (n = PROXY_LOGIN_MAX - 2; n <= PROXY_LOGIN_MAX; n++) {
		static const struct script_step steps[] = {
			HEARS(ASK "Proxy-Authorization: Basic MDAwMDAw"),
			HEARS_UNTIL("\r\n\r\n"),
			SAYS("HTTP/1.1 200 OK\r\n\r\n"), STOP
		};

		snprintf(url, sizeof url, "http://%0*d:%0*d@h", n, 7,
		    PROXY_LOGIN_MAX, 8);
		run(&r, url, "smtp.test", 587, steps, NULL);
		assert_int_equal(r.rc, 0);
		assert_int_equal(r.p.wrote.len, strlen(ASK) + 31 +
		    ((size_t)n + PROXY_LOGIN_MAX + 3) / 3 * 4);
		finish(&r);
	}
}

static void
answers_that_are_fine(void **state)
{
	/* No body after a 2xx (RFC 9110 section 9.3.6): it is the host's. */
	static const struct script_step fields[] = {
		HEARS_UNTIL("\r\n\r\n"),
		SAYS("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: "
		    "chunked\r\nVia: 1.1 x\r\n\r\n220 relay\r\n"), STOP
	};
	static const struct script_step interim[] = {
		HEARS_UNTIL("\r\n\r\n"),
		SAYS("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n"
		    "\r\nHTTP/1.1 204 fine\r\n\r\n220 relay\r\n"), STOP
	};

	(void)state;
	works("http://h", "smtp.test", 587, fields, "smtp.test:587 via peer",
	    "220 relay");
	works("http://h", "smtp.test", 587, interim, "smtp.test:587 via peer",
	    "220 relay");
}

static void
refusals_of_http(void **state)
{
	static const struct {
		const char *reply; enum cause cause; const char *text;
	} all[] = {
		{ "407 Auth\r\nProxy-Authenticate: Basic realm=\"x\"",
		    CAUSE_OPERATOR, "407 to CONNECT smtp.test:587: expected "
		    "user:password@ that it knows in its URL" },
		{ "403 Forbidden\r\nContent-Length: 3", CAUSE_OPERATOR,
		    "403 to CONNECT smtp.test:587: its rules forbid that; let it "
		    "CONNECT to this port" },
		{ "502 Bad", CAUSE_ROUTE, "502 to CONNECT smtp.test:587: it "
		    "cannot reach that" },
		{ "503 Busy", CAUSE_ROUTE, "503 to CONNECT smtp.test:587: it "
		    "cannot reach that" },
		{ "504 Late", CAUSE_ROUTE, "504 to CONNECT smtp.test:587: it "
		    "cannot reach that" },
		{ "405 No", CAUSE_OPERATOR, "405 to CONNECT smtp.test:587: is it "
		    "a proxy?" },
		{ "302 Found\r\nLocation: http://evil.test/", CAUSE_ROUTE,
		    "302 to CONNECT smtp.test:587: is it a proxy?" },
		{ "500 Oops", CAUSE_ROUTE, "500 to CONNECT smtp.test:587: is it "
		    "a proxy?" }
	};
	char said[200];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(all); i++) {
		struct script_step steps[] = {
			HEARS_UNTIL("\r\n\r\n"), SAYS(""), STOP
		};

		snprintf(said, sizeof said, "HTTP/1.1 %s\r\n\r\n<html>",
		    all[i].reply);
		steps[1] = (struct script_step)SAYS_N(said, strlen(said));
		fails("http://u:s3cret@h", steps, all[i].cause, all[i].text);
	}
}

static void
rubbish_of_http(void **state)
{
	static const struct { const char *reply, *text; } all[] = {
		{ "220 smtp.test ESMTP\r\n", "not an HTTP/1.1 reply: "
		    "\"220 smtp.test ESMTP\"" },
		{ "HTTP/2 200 OK\r\n\r\n", "not an HTTP/1.1 reply: "
		    "\"HTTP/2 200 OK\"" },
		{ "HTTP/1.1 2000 OK\r\n\r\n", "not an HTTP/1.1 reply: "
		    "\"HTTP/1.1 2000 OK\"" },
		{ "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", "not a proper HTTP "
		    "reply: a header field \" folded: x\"" },
		{ "HTTP/1.1 101 Switch\r\n\r\n", "not a proper HTTP reply: it "
		    "changes the protocol" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(all); i++) {
		const struct script_step steps[] = {
			HEARS_UNTIL("\r\n\r\n"),
			SAYS_N(all[i].reply, strlen(all[i].reply)), STOP
		};

		fails("http://h", steps, CAUSE_ROUTE, all[i].text);
	}
}

/* A header without end, in fields and in interim replies. */
static void
without_end(void **state)
{
	static char fields[40000], interim[2000];
	const struct script_step endless[] = {
		HEARS_UNTIL("\r\n\r\n"), SAYS_N(fields, sizeof fields - 1), STOP
	}, again[] = {
		HEARS_UNTIL("\r\n\r\n"), SAYS_N(interim, sizeof interim - 1),
		STOP
	};
	size_t n;

	(void)state;
	n = (size_t)snprintf(fields, sizeof fields, "HTTP/1.1 200 OK\r\n");
	while (n < sizeof fields - 1)
		n += (size_t)snprintf(fields + n, sizeof fields - n, "X: y\r\n");
	fails("http://h", endless, CAUSE_ROUTE,
	    "not a proper HTTP reply: its head is too long");
	for (n = 0; n < sizeof interim - 1; )
		n += (size_t)snprintf(interim + n, sizeof interim - n,
		    "HTTP/1.1 100 Go\r\n\r\n");
	fails("http://h", again, CAUSE_ROUTE,
	    "not a proper HTTP reply: interim replies without end");
}

/* --- SOCKS 5 --- */

#define NAME "\x05\x01\x00\x03\x09smtp.test\x02\x4b"
#define DONE "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"

static void
socks_byte_for_byte(void **state)
{
	static const struct script_step plain[] = {
		HEARS("\x05\x01\x00"), SAYS("\x05\x00"), HEARS(NAME),
		SAYS(DONE "220 relay\r\n"), STOP
	};
	static const struct script_step login[] = {
		HEARS("\x05\x02\x00\x02"), SAYS("\x05\x02"),
		HEARS("\x01\x03\x75:x\x06s3cret"), SAYS("\x01\x00"), HEARS(NAME),
		SAYS("\x05\x00\x00\x03\x04host\x00\x50" "220 relay\r\n"), STOP
	};
	/* A login that nobody asks for is not told. */
	static const struct script_step unasked[] = {
		HEARS("\x05\x02\x00\x02"), SAYS("\x05\x00"), HEARS(NAME),
		SAYS("\x05\x00\x00\x04" "0123456789abcdef\x00\x50" "220 relay\r\n"),
		STOP
	};
	static const struct script_step v4[] = {
		HEARS("\x05\x01\x00"), SAYS("\x05\x00"),
		HEARS("\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xd1"), SAYS(DONE),
		STOP
	};
	static const struct script_step v6[] = {
		HEARS("\x05\x01\x00"), SAYS("\x05\x00"),
		HEARS("\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
		    "\x01\xd1"), SAYS("\x05\x00\x00\x03\x00\x00\x50"), STOP
	};

	(void)state;
	works("socks5://h", "smtp.test", 587, plain, "smtp.test:587 via peer",
	    "220 relay");
	works("socks5h://u%3ax:s3cret@h", "smtp.test", 587, login,
	    "smtp.test:587 via peer", "220 relay");
	works("socks5://u%3ax:s3cret@h", "smtp.test", 587, unasked,
	    "smtp.test:587 via peer", "220 relay");
	works("socks5://h", "192.0.2.7", 465, v4, "192.0.2.7:465 via peer", "");
	works("socks5://h", "[2001:db8::1]", 465, v6,
	    "[2001:db8::1]:465 via peer", "");
}

static void
socks_codes_by_name(void **state)
{
	static const char *const why[] = { "general failure",
		"its rules forbid that", "network unreachable",
		"host unreachable", "connection refused", "TTL expired",
		"command not known", "kind of address not known",
		"an unknown code" };
	char said[] = "\x05\x01", text[100];
	const struct script_step steps[] = {
		HEARS("\x05\x01\x00"), SAYS("\x05\x00"), HEARS(NAME),
		SAYS_N(said, 2), STOP
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(why); i++) {
		said[1] = (char)(i + 1);
		snprintf(text, sizeof text, "%zu to CONNECT smtp.test:587: %s",
		    i + 1, why[i]);
		fails("socks5://h", steps, i == 1 ? CAUSE_OPERATOR : CAUSE_ROUTE,
		    text);
	}
}

static void
socks_logins_refused(void **state)
{
	static const struct script_step wanted[] = {
		HEARS("\x05\x01\x00"), SAYS("\x05\xff"), STOP
	}, other[] = {
		HEARS("\x05\x02\x00\x02"), SAYS("\x05\xff"), STOP
	}, wrong[] = {
		HEARS("\x05\x02\x00\x02"), SAYS("\x05\x02"),
		HEARS("\x01\x01u\x06s3cret"), SAYS("\x01\x01"), STOP
	};

	(void)state;
	fails("socks5://h", wanted, CAUSE_OPERATOR, "it wants a login; expected "
	    "user:password@ in its URL");
	fails("socks5://u:s3cret@h", other, CAUSE_OPERATOR, "it wants another "
	    "login than a password");
	fails("socks5://u:s3cret@h", wrong, CAUSE_OPERATOR, "the user or "
	    "password in its URL is refused");
}

static void
rubbish_of_socks(void **state)
{
	static const struct { const char *first; size_t n; } greetings[] = {
		{ "\x04\x00", 2 }, { "HT", 2 }, { "\x05\x01", 2 },
		{ "\x05\x02", 2 }, { "\x05\x80", 2 }, { "\x00\x00", 2 }
	};
	static const struct { const char *reply; size_t n; } replies[] = {
		{ "\x04\x00\x00\x01", 2 }, { "\x05\x00\x01\x01z", 5 },
		{ "\x05\x00\x00\x00z", 5 }, { "\x05\x00\x00\x02z", 5 },
		{ "\x05\x00\x00\x05z", 5 }, { "HTTP", 2 }
	};
	static const struct script_step version[] = {
		HEARS("\x05\x02\x00\x02"), SAYS("\x05\x02"),
		HEARS("\x01\x01u\x06s3cret"), SAYS("\x05\x00"), STOP
	};
	static const char text[] = "not an answer of SOCKS 5";
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(greetings); i++) {
		const struct script_step steps[] = {
			HEARS("\x05\x01\x00"),
			SAYS_N(greetings[i].first, greetings[i].n), STOP
		};

		fails("socks5://h", steps, CAUSE_ROUTE, text);
	}
	for (i = 0; i < COUNT(replies); i++) {
		const struct script_step steps[] = {
			HEARS("\x05\x01\x00"), SAYS("\x05\x00"), HEARS(NAME),
			SAYS_N(replies[i].reply, replies[i].n), STOP
		};

		fails("socks5://h", steps, CAUSE_ROUTE, text);
	}
	fails("socks5://u:s3cret@h", version, CAUSE_ROUTE, text);
}

/* --- the cut sweep --- */

/* Never a tunnel before the last byte of the answer; the host's may be missing. */
static void
sweep(const char *url, const struct script_step *steps, size_t behind)
{
	size_t total = script_says_bytes(steps), n;
	struct run r;
	struct knobs k;

	for (n = 0; n < 3 * total; n++) {
		k = (struct knobs){ .piece = n % 2, .cut_at = n / 3,
			.cut_as = (enum script_cut)(n % 3) };
		run(&r, url, "smtp.test", 587, steps, &k);
		assert_int_equal(r.rc, n / 3 < total - behind ? -1 : 0);
		if (r.rc < 0)
			assert_int_equal(r.s.err.cause, CAUSE_ROUTE);
		finish(&r);
	}
}

static void
cut_sweep(void **state)
{
	static const struct script_step http[] = {
		HEARS(ASK "Proxy-Authorization: Basic dTpzM2NyZXQ=\r\n\r\n"),
		SAYS("HTTP/1.1 100 Go\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n"
		    "\r\n220 relay\r\n"), STOP
	};
	static const struct script_step socks[] = {
		HEARS("\x05\x02\x00\x02"), SAYS("\x05\x02"),
		HEARS("\x01\x01u\x06s3cret"), SAYS("\x01\x00"), HEARS(NAME),
		SAYS("\x05\x00\x00\x03\x04host\x00\x50" "220 relay\r\n"), STOP
	};

	(void)state;
	sweep("http://u:s3cret@h", http, 11);
	sweep("socks5://u:s3cret@h", socks, 11);
}

/* --- proxy_dial --- */

static void
a_url_that_cannot_be_used(void **state)
{
	struct stream s;
	struct result res;

	(void)state;
	memset(&s, 0, sizeof s);
	assert_int_equal(proxy_dial(&s, "https://u:s3cret@h", "smtp.test", 587,
	    NULL, 5, NULL, &res), -1);
	assert_string_equal(res.text, "proxy (`proxy` or HTTPS_PROXY): it wants "
	    "TLS to the proxy itself, which is not built");
	assert_int_equal(res.exit, EXIT_CONFIGURATION);
	assert_int_equal(res.cause, CAUSE_OPERATOR);
	assert_true(res.certainly_not_taken);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(logins_of_every_length),
		cmocka_unit_test(no_proxy),
		cmocka_unit_test(connect_byte_for_byte),
		cmocka_unit_test(the_longest_login),
		cmocka_unit_test(answers_that_are_fine),
		cmocka_unit_test(refusals_of_http),
		cmocka_unit_test(rubbish_of_http),
		cmocka_unit_test(without_end),
		cmocka_unit_test(socks_byte_for_byte),
		cmocka_unit_test(socks_codes_by_name),
		cmocka_unit_test(socks_logins_refused),
		cmocka_unit_test(rubbish_of_socks),
		cmocka_unit_test(cut_sweep),
		cmocka_unit_test(a_url_that_cannot_be_used)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
