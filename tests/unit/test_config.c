/* The configuration as a whole: checks and defaults. */
#include "lib/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "tests/unit/conf.h"

static void
test_routes_that_lack_something(void **state)
{
	static const struct conf_bad cases[] = {
		{ "\nroute a\nsender *\n", "2: route a has no type; expected "
		    "type ses, smtp, lmtp, maildir or qmail" },
		{ "route a\n\n" BOX, "1: route a has no type; expected type "
		    "ses, smtp, lmtp, maildir or qmail" },
		{ "\nroute a\ntype smtp\nsender *\n", "2: route a has no host; "
		    "expected the relay's" },
		{ "route a\ntype maildir\nsender *\n", "1: route a has no "
		    "path; expected the Maildir's" },
		{ "route a\ntype ses\n" BOX "fallback a\n", "1: route a has no "
		    "senders; expected senders or sender, for SES takes mail "
		    "of verified senders only" },
		{ "route a\ntype maildir\npath /a\n", "1: route a has no "
		    "senders and is no route's fallback; expected senders or "
		    "sender" },
		{ BOX BOX, "5: there is a route b in line 1 already; expected "
		    "another name" },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

static void
test_contradictions_of_a_relay(void **state)
{
	static const struct conf_bad cases[] = {
		{ SMTP "user u\n", "1: route r has a user but no password; "
		    "expected password-file, password-command or password" },
		{ SMTP "password p\n", "1: route r has a password but no user; "
		    "expected user" },
		{ SMTP "password-file /p\n", "1: route r has a password but no "
		    "user; expected user" },
		{ SMTP "password-command p\n", "1: route r has a password but "
		    "no user; expected user" },
		{ SMTP "user u\npassword p\npassword-file /p\n", "1: route r "
		    "has more than one password; expected one of password, "
		    "password-file and password-command" },
		{ SMTP "user u\npassword p\npassword-command p\n", "1: route r "
		    "has more than one password; expected one of password, "
		    "password-file and password-command" },
		{ SMTP "user u\npassword-file /p\npassword-command p\n",
		    "1: route r has more than one password; expected one of "
		    "password, password-file and password-command" },
		{ SMTP "auth off\nuser u\npassword p\n", "1: route r has auth "
		    "off and a user; expected one of them" },
		{ SMTP "auth plain\n", "1: route r has auth but no user; "
		    "expected user and a password" },
		{ SMTP "auth login\n", "1: route r has auth but no user; "
		    "expected user and a password" },
		{ SMTP "tls off\nuser u\npassword p\n", "1: route r would send "
		    "its password without TLS; expected tls starttls or "
		    "implicit, or a host on this machine" },
		{ SMTP "tls off\ntls-pin sha256:" HEX64 "\n", "1: route r has "
		    "tls off and a tls-pin; expected one of them" },
		{ SMTP "tls off\nca-file /x\n", "1: route r has tls off and a "
		    "ca-file; expected one of them" },
		{ "route r\ntype smtp\nsender *\nhost 192.0.2.1\n", "1: route "
		    "r has host 192.0.2.1, which no certificate can name; "
		    "expected a host name or a tls-pin" },
		{ "route r\ntype smtp\nsender *\nhost unix:/x\ntls implicit\n",
		    "1: route r has host unix:/x, which no certificate can "
		    "name; expected a host name, tls off or a tls-pin" },
		{ "route r\ntype smtp\nsender *\nhost unix:/x\ntls off\n"
		    "port 25\n", "1: route r has a port and a Unix socket; "
		    "expected one of them" },
		{ "route r\ntype lmtp\nsender *\nhost unix:/x\n",
		    "1: route r has host unix:/x, which no certificate can "
		    "name; expected a host name, tls off or a tls-pin" },
		{ "route r\ntype lmtp\nsender *\nhost unix:/x\ntls off\n"
		    "source-address 127.0.0.1\n", "1: route r has a "
		    "source-address and a Unix socket; expected one of them" },
		{ SMTP "client-key /k\n", "1: route r has a client-key alone; "
		    "expected client-cert beside it" },
		{ SMTP "tls off\nclient-cert /c\n", "1: route r has tls off "
		    "and a client-cert; expected one of them" },
		{ SMTP "auth xoauth2\n", "1: route r has auth but no user; "
		    "expected user and a password" },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

static void
test_a_password_without_tls_stays_on_this_machine(void **state)
{
	static const char *const hosts[] = { "localhost", "127.0.0.1",
	    "127.8.9.1", "[::1]", "::1", "unix:/run/x" };
	struct buf b = { 0 };
	struct config c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		buf_reset(&b);
		buf_addf(&b, "route r\ntype smtp\nsender *\ntls off\nuser u\n"
		    "password p\nhost %s\n", hosts[i]);
		conf_accepted(&c, buf_str(&b));
		config_free(&c);
	}
	buf_free(&b);
}

static void
test_an_address_with_a_pin_needs_no_name(void **state)
{
	struct config c;

	(void)state;
	conf_accepted(&c, "route r\ntype smtp\nsender *\nhost 192.0.2.1\n"
	    "tls-pin sha256:" HEX64 "\n" SES "endpoint https://192.0.2.1/\n"
	    "tls-pin sha256:" HEX64 "\n");
	config_free(&c);
}

static void
test_contradictions_of_ses(void **state)
{
	static const struct conf_bad cases[] = {
		{ SES "access-key-id A\n", "1: route s has an access-key-id "
		    "alone; expected secret-access-key-file beside it" },
		{ SES "secret-access-key k\n", "1: route s has a secret access "
		    "key alone; expected access-key-id beside it" },
		{ SES "secret-access-key-file /k\n", "1: route s has a secret "
		    "access key alone; expected access-key-id beside it" },
		{ SES "access-key-id A\nsecret-access-key k\n"
		    "secret-access-key-file /k\n", "1: route s has "
		    "secret-access-key and secret-access-key-file; expected "
		    "one of them" },
		{ SES "session-token t\n", "1: route s has a session-token "
		    "alone; expected access-key-id and secret-access-key-file "
		    "beside it" },
		{ SES "credentials static\n", "1: route s has credentials "
		    "static but no keys; expected access-key-id and "
		    "secret-access-key-file" },
		{ SES "endpoint http://localhost:1/\nca-file /x\n", "1: route "
		    "s has an endpoint without TLS and a ca-file; expected one "
		    "of them" },
		{ SES "endpoint http://127.0.0.1:1/\ntls-pin sha256:" HEX64
		    "\n", "1: route s has an endpoint without TLS and a "
		    "tls-pin; expected one of them" },
		{ SES "endpoint https://[2001:db8::1]/\n", "1: route s has an "
		    "endpoint that no certificate can name; expected a host "
		    "name or a tls-pin" },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

static void
test_an_endpoint_on_this_machine_may_do_without_tls(void **state)
{
	struct config c;

	(void)state;
	conf_accepted(&c, "ca-file /roots\n" SES "endpoint http://127.0.0.1:8005\n"
	    "access-key-id A\nsecret-access-key-file /k\n");
	assert_string_equal(c.routes[0].endpoint, "http://127.0.0.1:8005");
	config_free(&c);
}

#define R(name, rest) "route " name "\ntype maildir\npath /x\n" rest

static void
test_fallbacks_that_cannot_be(void **state)
{
	static const struct conf_bad cases[] = {
		{ "\n" R("a", "sender *\nfallback b\n"), "6: route a has "
		    "fallback b, which is no route; expected the name of "
		    "one" },
		{ R("a", "sender *\nfallback a\n"), "5: route a is its own "
		    "fallback; expected another route" },
		{ R("a", "fallback b\n") R("b", "fallback a\n"), "4: the "
		    "fallbacks run in a circle: a -> b -> a; expected an "
		    "end" },
		{ R("x", "sender *\nfallback a\n") R("a", "fallback b\n")
		    R("b", "fallback c\n") R("c", "fallback a\n"), "9: the "
		    "fallbacks run in a circle: a -> b -> c -> a; expected an "
		    "end" },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

static void
test_fallbacks_are_resolved(void **state)
{
	struct config c;

	(void)state;
	conf_accepted(&c, R("c", "") R("b", "fallback c\n")
	    R("a", "sender *\nfallback b\n") R("d", "sender *\nfallback b\n"));
	assert_ptr_equal(config_route(&c, "a"), &c.routes[2]);
	assert_null(config_route(&c, "e"));
	assert_null(c.routes[0].fallback_route);
	assert_ptr_equal(c.routes[1].fallback_route, &c.routes[0]);
	assert_ptr_equal(c.routes[2].fallback_route, &c.routes[1]);
	assert_ptr_equal(c.routes[3].fallback_route, &c.routes[1]);
	config_free(&c);
}

static void
test_many_routes_keep_their_order(void **state)
{
	struct buf b = { 0 };
	struct config c;
	char name[20];
	size_t i;

	(void)state;
	for (i = 0; i < 300; i++)
		buf_addf(&b, "route n%zu\ntype maildir\npath /%zu\nsender *\n",
		    i, i);
	conf_accepted(&c, buf_str(&b));
	assert_int_equal(c.nroutes, 300);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "n%zu", i);
		assert_string_equal(c.routes[i].name, name);
		assert_int_equal(c.routes[i].line, 2 + 4 * i);
	}
	config_free(&c);
	buf_free(&b);
}

static void
test_ports_follow_tls(void **state)
{
	struct config c;

	(void)state;
	conf_accepted(&c, "route a\ntype smtp\nhost h\nsender *\n"
	    "route b\ntype smtp\nhost h\nsender *\ntls starttls\n"
	    "route c\ntype smtp\nhost h\nsender *\ntls implicit\n"
	    "route d\ntype smtp\nhost h\nsender *\ntls off\n"
	    "route e\ntype smtp\nhost h\nsender *\ntls off\nport 2525\n"
	    "route f\ntype lmtp\nhost h\nsender *\ntls off\n"
	    "route g\ntype lmtp\nhost h\nsender *\n");
	assert_int_equal(c.routes[0].port, 587);
	assert_int_equal(c.routes[1].port, 587);
	assert_int_equal(c.routes[2].port, 465);
	assert_int_equal(c.routes[3].port, 25);
	assert_int_equal(c.routes[4].port, 2525);
	assert_int_equal(c.routes[5].port, 24);
	assert_int_equal(c.routes[6].port, 24);
	config_free(&c);
}

static void
test_the_domain_follows_the_host_name(void **state)
{
	struct config c;

	(void)state;
	conf_accepted(&c, "");
	assert_string_equal(c.hostname, "h.example.org");
	assert_string_equal(c.domain, "h.example.org");
	assert_null(c.from);
	assert_null(c.override_from);
	assert_int_equal(c.timeout, 0);
	assert_int_equal(c.max_size, 0);
	config_free(&c);
}

static void
test_the_host_name_is_the_systems(void **state)
{
	char name[256] = "";
	struct config c;
	struct result res;
	size_t n;

	(void)state;
	assert_int_equal(gethostname(name, sizeof name - 1), 0);
	assert_int_equal(config_parse(&c, "f", "", &res), 0);
	n = strlen(name);
	/* A bare one may have been completed, or replaced by its alias's. */
	if (strchr(name, '.') || strchr(c.hostname, '.') == NULL)
		assert_string_equal(c.hostname, name);
	assert_true(n > 0 && strlen(c.hostname) > 0);
	assert_string_equal(c.domain, c.hostname);
	config_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes_that_lack_something),
		cmocka_unit_test(test_contradictions_of_a_relay),
		cmocka_unit_test(
		    test_a_password_without_tls_stays_on_this_machine),
		cmocka_unit_test(test_an_address_with_a_pin_needs_no_name),
		cmocka_unit_test(test_contradictions_of_ses),
		cmocka_unit_test(
		    test_an_endpoint_on_this_machine_may_do_without_tls),
		cmocka_unit_test(test_fallbacks_that_cannot_be),
		cmocka_unit_test(test_fallbacks_are_resolved),
		cmocka_unit_test(test_many_routes_keep_their_order),
		cmocka_unit_test(test_ports_follow_tls),
		cmocka_unit_test(test_the_domain_follows_the_host_name),
		cmocka_unit_test(test_the_host_name_is_the_systems),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
