/* The messages of SASL mechanisms, by the examples of their documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/base64.h"
#include "lib/relay/sasl.h"

/* RFC 7677 section 3. */
#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define BOTH NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT "s=W22ZaJ0SNY7soEsUEjb6gQ=="
#define SERVER_FIRST "r=" BOTH "," SALT ",i=4096"
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct sasl
begin(unsigned mech, const char *user, const char *secret)
{
	struct sasl x = { .mech = mech, .user = user, .secret = secret,
		.host = "server.example.com", .port = 143 };

	assert_int_equal(sasl_init(&x), 0);
	return x;
}

/* The next message is `want`, also with bytes that no string holds. */
#define SAYS_NEXT(x, in, want) says_next(x, in, want, sizeof (want) - 1)
static void
says_next(struct sasl *x, const char *in, const char *want, size_t n)
{
	struct buf out = { 0 };
	const char *wrong = sasl_next(x, in, strlen(in), &out);

	if (wrong)
		fail_msg("refused: %s", wrong);
	assert_false(out.failed);
	assert_int_equal(out.len, n);
	assert_memory_equal(buf_str(&out), want, n);
	buf_wipe(&out);
}

static void
refuses_next(struct sasl *x, const char *in, const char *text)
{
	struct buf out = { 0 };
	const char *wrong = sasl_next(x, in, strlen(in), &out);

	if (wrong == NULL)
		fail_msg("accepted: %s", in);
	assert_non_null(strstr(wrong, text));
	buf_wipe(&out);
}

static struct sasl
begin_scram(void)
{
	struct sasl x = begin(SASL_SCRAM_SHA_256, "user", "pencil");

	assert_int_equal(strlen(x.scram.nonce), SCRAM_NONCE);
	assert_null(strchr(x.scram.nonce, ','));
	assert_null(strchr(x.scram.nonce, '='));
	strcpy(x.scram.nonce, NONCE);
	SAYS_NEXT(&x, "", "n,,n=user,r=" NONCE);
	return x;
}

static void
scram_example(void **state)
{
	struct sasl x = begin_scram();

	(void)state;
	SAYS_NEXT(&x, SERVER_FIRST, "c=biws,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9yta"
	    "g9zjfMHgsqmmiz7AndVQ=");
	assert_false(x.proven);
	SAYS_NEXT(&x, SERVER_FINAL, "");
	assert_true(x.proven);
	refuses_next(&x, "", "more than it should");
	sasl_free(&x);
}

static void
scram_nonces_differ(void **state)
{
	struct sasl x = begin(SASL_SCRAM_SHA_256, "u", "p");
	struct sasl y = begin(SASL_SCRAM_SHA_256, "u", "p");

	(void)state;
	assert_string_not_equal(x.scram.nonce, y.scram.nonce);
	sasl_free(&x);
	sasl_free(&y);
}

static void
scram_first_messages_that_are_refused(void **state)
{
	static const struct { const char *in, *text; } rows[] = {
		{ "", "no sense" },
		{ "x", "no sense" },
		{ "r", "no sense" },
		{ "r=", "no sense" },
		{ "r=" BOTH, "no sense" },
		{ "r=" BOTH ",", "no sense" },
		{ "r=" BOTH "," SALT, "no sense" },
		{ "r=" BOTH "," SALT ",", "no sense" },
		{ SALT ",r=" BOTH ",i=4096", "no sense" },
		{ "r=" BOTH ",i=4096," SALT, "no sense" },
		/* An extension that has to be understood. */
		{ "m=x," SERVER_FIRST, "no sense" },
		{ "r=" BOTH ",m=x," SALT ",i=4096", "no sense" },
		{ "e=other-error", "no sense" },
		/* Nonces: another, none of theirs, cut short. */
		{ "r=r" BOTH "," SALT ",i=4096", "does not begin with ours" },
		{ "r=" NONCE "," SALT ",i=4096", "does not begin with ours" },
		{ "r=rOpr," SALT ",i=4096", "does not begin with ours" },
		{ "r=," SALT ",i=4096", "does not begin with ours" },
		{ "r=ROPRNGfwEbeRWgbNEkqO%x," SALT ",i=4096", "begin with ours" },
		{ "r=" BOTH ",s=,i=4096", "salt" },
		{ "r=" BOTH ",s=====,i=4096", "salt" },
		{ "r=" BOTH ",s=W22Za*0S,i=4096", "salt" },
		{ "r=" BOTH ",s=A,i=4096", "salt" },
		{ "r=" BOTH "," SALT ",i=", "iterations" },
		{ "r=" BOTH "," SALT ",i=0", "iterations" },
		{ "r=" BOTH "," SALT ",i=-1", "iterations" },
		{ "r=" BOTH "," SALT ",i=+4096", "iterations" },
		{ "r=" BOTH "," SALT ",i= 4096", "iterations" },
		{ "r=" BOTH "," SALT ",i=4096x", "iterations" },
		{ "r=" BOTH "," SALT ",i=1000001", "iterations" },
		{ "r=" BOTH "," SALT ",i=4294967295", "iterations" },
		{ "r=" BOTH "," SALT ",i=4294967297", "iterations" },
		{ "r=" BOTH "," SALT ",i=99999999999", "iterations" },
		{ "r=" BOTH "," SALT ",i=18446744073709551617", "iterations" },
		{ "r=" BOTH "," SALT ",i=000000000000000000000004096",
		    "iterations" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct sasl x = begin_scram();

		refuses_next(&x, rows[i].in, rows[i].text);
		assert_false(x.proven);
		sasl_free(&x);
	}
}

/* Salts as long as there may be, and one byte more. */
static void
scram_long_salts(void **state)
{
	unsigned char salt[257];
	char text[BASE64_SIZE(sizeof salt) + 1], first[600];
	struct buf out = { 0 };
	size_t n;

	(void)state;
	memset(salt, 's', sizeof salt);
	for (n = 256; n <= 257; n++) {
		struct sasl x = begin_scram();

		text[base64_encode(text, salt, n)] = '\0';
		snprintf(first, sizeof first, "r=%s,s=%s,i=2", BOTH, text);
		if (n == 257)
			refuses_next(&x, first, "salt");
		else
			assert_null(sasl_next(&x, first, strlen(first), &out));
		sasl_free(&x);
		buf_wipe(&out);
	}
}

/* Extensions behind what is known change nothing but what is signed. */
static void
scram_optional_extensions(void **state)
{
	struct sasl x = begin_scram();
	struct buf out = { 0 };
	const char *first = SERVER_FIRST ",x=y";

	(void)state;
	assert_null(sasl_next(&x, first, strlen(first), &out));
	assert_non_null(strstr(buf_str(&out), "c=biws,r=" BOTH ",p="));
	assert_null(strstr(buf_str(&out), "dHzbZapWIk4jUhN"));
	buf_wipe(&out);
	refuses_next(&x, SERVER_FINAL, "does not prove");
	sasl_free(&x);
}

static void
scram_final_messages_that_are_refused(void **state)
{
	static const char *const finals[] = { "", "v", "v=", "x", ",",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=",
		"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl9",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G46rri",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4*",
		"V=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		" v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		"r=" BOTH };
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof finals / sizeof finals[0]; i++) {
		struct sasl x = begin_scram();

		assert_null(sasl_next(&x, SERVER_FIRST, sizeof SERVER_FIRST - 1,
		    &out));
		buf_wipe(&out);
		refuses_next(&x, finals[i], "does not prove");
		assert_false(x.proven);
		sasl_free(&x);
	}
}

/* The server says why in its own words, and nothing is proven by that. */
static void
scram_error_of_the_server(void **state)
{
	struct sasl x = begin_scram();
	struct buf out = { 0 };

	(void)state;
	assert_null(sasl_next(&x, SERVER_FIRST, sizeof SERVER_FIRST - 1, &out));
	buf_wipe(&out);
	SAYS_NEXT(&x, "e=invalid-proof", "");
	assert_false(x.proven);
	refuses_next(&x, SERVER_FINAL, "more than it should");
	sasl_free(&x);
}

static void
scram_names_are_escaped(void **state)
{
	struct sasl x = begin(SASL_SCRAM_SHA_256, "a=b,c=2C \xc3\xa9", "p");

	(void)state;
	strcpy(x.scram.nonce, "N");
	SAYS_NEXT(&x, "", "n,,n=a=3Db=2Cc=3D2C \xc3\xa9,r=N");
	sasl_free(&x);
}

/* RFC 2195 section 2, and RFC 2202's second case by way of it. */
static void
cram_md5_example(void **state)
{
	struct sasl x = begin(SASL_CRAM_MD5, "tim", "tanstaaftanstaaf");

	(void)state;
	assert_false(sasl_begins(&x));
	SAYS_NEXT(&x, "<1896.697170952@postoffice.reston.mci.net>",
	    "tim b913a602c7eda7a495b4e6e7334d3890");
	refuses_next(&x, "", "more than it should");
	x = begin(SASL_CRAM_MD5, "u", "Jefe");
	SAYS_NEXT(&x, "what do ya want for nothing?",
	    "u 750c783e6ab0b503eaa86e310a5db738");
	sasl_free(&x);
}

/* RFC 7628 section 4.1. */
static void
oauthbearer_example(void **state)
{
	struct sasl x = begin(SASL_OAUTHBEARER, "user@example.com",
	    "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");

	(void)state;
	SAYS_NEXT(&x, "", "n,a=user@example.com,\001host=server.example.com\001"
	    "port=143\001auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
	    "\001\001");
	SAYS_NEXT(&x, "{\"status\":\"invalid_token\"}", "\001");
	refuses_next(&x, "", "more than it should");
	x = begin(SASL_OAUTHBEARER, "a,b=c", "t");
	SAYS_NEXT(&x, "", "n,a=a=2Cb=3Dc,\001host=server.example.com\001port=143"
	    "\001auth=Bearer t\001\001");
	sasl_free(&x);
}

/* https://developers.google.com/gmail/imap/xoauth2-protocol */
static void
xoauth2_example(void **state)
{
	static const char example[] = "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJ"
	    "lYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q"
	    "2cBAQ==";
	struct sasl x = begin(SASL_XOAUTH2, "someuser@example.com",
	    "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
	char want[200];
	ssize_t n = base64_decode(want, sizeof want, example,
	    sizeof example - 1);

	(void)state;
	assert_true(n > 0);
	says_next(&x, "", want, (size_t)n);
	SAYS_NEXT(&x, "{\"status\":\"400\"}", "");
	refuses_next(&x, "", "more than it should");
	sasl_free(&x);
}

static void
plain_login_and_external(void **state)
{
	struct sasl x = begin(SASL_PLAIN, "tim", "tanstaaftanstaaf");

	(void)state;
	assert_true(sasl_begins(&x));
	SAYS_NEXT(&x, "", "\0tim\0tanstaaftanstaaf");
	refuses_next(&x, "", "more than it should");
	x = begin(SASL_LOGIN, "tim", "secret");
	assert_false(sasl_begins(&x));
	SAYS_NEXT(&x, "User Name", "tim");
	SAYS_NEXT(&x, "anything", "secret");
	refuses_next(&x, "Password:", "more than it should");
	x = (struct sasl){ .mech = SASL_EXTERNAL, .user = "", .secret = "" };
	assert_int_equal(sasl_init(&x), 0);
	SAYS_NEXT(&x, "", "");
	refuses_next(&x, "", "more than it should");
	sasl_free(&x);
}

static void
names(void **state)
{
	static const char *const all[] = { "EXTERNAL", "SCRAM-SHA-256",
		"OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN", "CRAM-MD5" };
	static const char *const none[] = { "", "P", "PLAI", "PLAINS",
		"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "SCRAM-SHA-512", "XOAUTH",
		"CRAM", "NTLM", "GSSAPI", "PLAIN-CLIENTTOKEN", "LOGIN " };
	unsigned seen = 0, bit;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof all / sizeof all[0]; i++) {
		bit = sasl_known(all[i], strlen(all[i]));
		assert_true(bit != 0 && (bit & (bit - 1)) == 0);
		assert_true(bit > seen);
		seen |= bit;
		assert_string_equal(sasl_name(bit), all[i]);
	}
	assert_int_equal(sasl_known("cram-MD5", 8), SASL_CRAM_MD5);
	for (i = 0; i < sizeof none / sizeof none[0]; i++)
		assert_int_equal(sasl_known(none[i], strlen(none[i])), 0);
}

/* RFC 7914 section 11, the first of two blocks each. */
static void
pbkdf2_vectors(void **state)
{
	unsigned char out[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];

	(void)state;
	pbkdf2_sha256(out, "passwd", 6, "salt", 4, 1);
	hex_encode(hex, out, sizeof out);
	assert_string_equal(hex, "55ac046e56e3089fec1691c22544b605"
	    "f94185216dde0465e68b9d57c20dacbc");
	pbkdf2_sha256(out, "Password", 8, "NaCl", 4, 80000);
	hex_encode(hex, out, sizeof out);
	assert_string_equal(hex, "4ddcd8f60b98be21830cee5ef22701f9"
	    "641a4418d04c0414aeff08876b34ab56");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scram_example),
		cmocka_unit_test(scram_nonces_differ),
		cmocka_unit_test(scram_first_messages_that_are_refused),
		cmocka_unit_test(scram_long_salts),
		cmocka_unit_test(scram_optional_extensions),
		cmocka_unit_test(scram_final_messages_that_are_refused),
		cmocka_unit_test(scram_error_of_the_server),
		cmocka_unit_test(scram_names_are_escaped),
		cmocka_unit_test(cram_md5_example),
		cmocka_unit_test(oauthbearer_example),
		cmocka_unit_test(xoauth2_example),
		cmocka_unit_test(plain_login_and_external),
		cmocka_unit_test(names),
		cmocka_unit_test(pbkdf2_vectors)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
