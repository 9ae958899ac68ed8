/* Every keyword of the configuration. */
#include "lib/config/keywords.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "tests/unit/conf.h"

static void
test_keywords_of_the_whole_file(void **state)
{
	struct config c;
	struct result res;

	(void)state;
	assert_int_equal(config_parse(&c, "f", "hostname mail.example.com\n"
	    "domain example.com\nfrom a@example.com\n"
	    "override-from b@example.com\nlog /var/log/sendroute\ntimeout 2m\n"
	    "max-size 10k\nca-file /roots\n", &res), 0);
	assert_string_equal(c.file, "f");
	assert_int_equal(c.mode, 0);
	assert_string_equal(c.hostname, "mail.example.com");
	assert_string_equal(c.domain, "example.com");
	assert_string_equal(c.from, "a@example.com");
	assert_string_equal(c.override_from, "b@example.com");
	assert_int_equal(c.log_target, LOG_TO_FILE);
	assert_string_equal(c.log_file, "/var/log/sendroute");
	assert_int_equal(c.timeout, 120);
	assert_int_equal(c.max_size, 10240);
	assert_string_equal(c.ca_file, "/roots");
	assert_int_equal(c.nroutes, 0);
	config_free(&c);
}

static void
test_log_targets(void **state)
{
	struct config c;

	(void)state;
	conf_accepted(&c, "");
	assert_int_equal(c.log_target, LOG_TO_SYSLOG);
	config_free(&c);
	conf_accepted(&c, "log syslog");
	assert_int_equal(c.log_target, LOG_TO_SYSLOG);
	assert_null(c.log_file);
	config_free(&c);
	conf_accepted(&c, "log none");
	assert_int_equal(c.log_target, LOG_TO_NONE);
	assert_null(c.log_file);
	config_free(&c);
}

static void
test_keywords_of_a_relay(void **state)
{
	static const unsigned char ab[] = { 0xab, 0xcd, 0xef };
	const struct route *r;
	struct config c;

	(void)state;
	conf_accepted(&c, "route relay\npassword \"p w\"\nuser u\nauth login\n"
	    "tls implicit\nport 4650\nhost smtp.example\nca-file /ca\n"
	    "tls-pin sha256:" HEX64 "\ntls-pin sha256:"
	    "ABCDEF0123456789" HEX16 HEX16 HEX16 "\n"
	    "senders /list\nsenders builtin\nsender @a.example\nsenders *\n"
	    "fallback box\ntype smtp\n"
	    "route box\ntype maildir\npath /var/mail/x\n");
	r = &c.routes[0];
	assert_int_equal(c.nroutes, 2);
	assert_int_equal(r->type, ROUTE_SMTP);
	assert_string_equal(r->name, "relay");
	assert_int_equal(r->line, 2);
	assert_string_equal(r->host, "smtp.example");
	assert_int_equal(r->port, 4650);
	assert_int_equal(r->tls, TLS_IMPLICIT);
	assert_int_equal(r->auth, AUTH_LOGIN);
	assert_string_equal(r->user, "u");
	assert_string_equal(r->password.value, "p w");
	assert_null(r->password.file);
	assert_null(r->password.command);
	assert_string_equal(r->ca_file, "/ca");
	assert_int_equal(r->npins, 2);
	assert_int_equal(r->pins[0][1], 0x23);
	assert_int_equal(r->pins[0][31], 0xef);
	assert_memory_equal(r->pins[1], ab, sizeof ab);
	assert_ptr_equal(r->fallback_route, &c.routes[1]);
	assert_string_equal(r->fallback, "box");
	assert_int_equal(r->nsources, 4);
	assert_int_equal(r->sources[0].kind, SENDER_FILE);
	assert_string_equal(r->sources[0].text, "/list");
	assert_int_equal(r->sources[1].kind, SENDER_BUILTIN);
	assert_null(r->sources[1].text);
	assert_int_equal(r->sources[2].kind, SENDER_PATTERN);
	assert_string_equal(r->sources[2].text, "@a.example");
	assert_string_equal(r->sources[2].conf, "f");
	assert_int_equal(r->sources[2].line, 14);
	assert_int_equal(r->sources[3].kind, SENDER_PATTERN);
	assert_string_equal(r->sources[3].text, "*");
	assert_int_equal(c.routes[1].type, ROUTE_MAILDIR);
	assert_string_equal(c.routes[1].path, "/var/mail/x");
	assert_null(c.routes[1].fallback_route);
	config_free(&c);
}

static void
test_keywords_of_ses(void **state)
{
	const struct route *r;
	struct config c;

	(void)state;
	conf_accepted(&c, "route ses\ntype ses\nregion eu-west-1\n"
	    "endpoint https://vpce.example/\ncredentials static\nprofile mail\n"
	    "access-key-id AKIDEXAMPLE\nsecret-access-key wJal/+rXU\n"
	    "session-token to/ken+=\nconfiguration-set set_1\n"
	    "tag a=b\ntag c-d=E_f\nfrom-arn arn:aws:ses:x:1:identity/e.x\n"
	    "role-arn arn:aws:iam::1:role/x\n"
	    "ca-file /ca\ntls-pin sha256:" HEX64 "\nsender *\n");
	r = &c.routes[0];
	assert_int_equal(r->type, ROUTE_SES);
	assert_string_equal(r->region, "eu-west-1");
	assert_string_equal(r->endpoint, "https://vpce.example/");
	assert_int_equal(r->credentials, CRED_STATIC);
	assert_string_equal(r->profile, "mail");
	assert_string_equal(r->access_key_id, "AKIDEXAMPLE");
	assert_string_equal(r->secret_access_key.value, "wJal/+rXU");
	assert_string_equal(r->session_token, "to/ken+=");
	assert_string_equal(r->configuration_set, "set_1");
	assert_int_equal(r->ntags, 2);
	assert_string_equal(r->tags[0].name, "a");
	assert_string_equal(r->tags[0].value, "b");
	assert_string_equal(r->tags[1].name, "c-d");
	assert_string_equal(r->tags[1].value, "E_f");
	assert_string_equal(r->role_arn, "arn:aws:iam::1:role/x");
	assert_string_equal(r->from_arn, "arn:aws:ses:x:1:identity/e.x");
	assert_string_equal(r->ca_file, "/ca");
	assert_int_equal(r->npins, 1);
	config_free(&c);
}

static void
test_choices_become_their_enum(void **state)
{
	static const struct { const char *in; int auth, tls, cred; } cases[] = {
		{ "", AUTH_AUTO, TLS_STARTTLS, CRED_AUTO },
		{ "auth auto\ntls starttls\n", AUTH_AUTO, TLS_STARTTLS, -1 },
		{ "auth plain\nuser u\npassword p\n", AUTH_PLAIN, TLS_STARTTLS,
		    -1 },
		{ "auth login\nuser u\npassword p\n", AUTH_LOGIN, TLS_STARTTLS,
		    -1 },
		{ "auth off\ntls implicit\n", AUTH_OFF, TLS_IMPLICIT, -1 },
		{ "tls off\n", AUTH_AUTO, TLS_OFF, -1 },
		{ "credentials auto\n", -1, -1, CRED_AUTO },
		{ "credentials env\n", -1, -1, CRED_ENV },
		{ "credentials file\n", -1, -1, CRED_FILE },
		{ "credentials container\n", -1, -1, CRED_CONTAINER },
		{ "credentials imds\n", -1, -1, CRED_IMDS },
	};
	struct buf b = { 0 };
	struct config c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_reset(&b);
		buf_addf(&b, "%s%s", cases[i].auth < 0 ? SES : SMTP,
		    cases[i].in);
		conf_accepted(&c, buf_str(&b));
		if (cases[i].auth >= 0) {
			assert_int_equal(c.routes[0].auth, cases[i].auth);
			assert_int_equal(c.routes[0].tls, cases[i].tls);
		}
		if (cases[i].cred >= 0)
			assert_int_equal(c.routes[0].credentials,
			    cases[i].cred);
		config_free(&c);
	}
	buf_free(&b);
}

/* The queue's keywords: a good value and where it goes, a bad one. */
static void
test_queue_keywords(void **state)
{
	static const struct conf_bad bad[] = {
		{ "queue spool\n", "1: queue 'spool' is no absolute path; "
		    IS_PATH },
		{ "queue-lifetime 366d\n", "1: queue-lifetime '366d' is out of "
		    "range; expected a duration from 1m to 365d, such as 5d" },
		{ "queue-warn 53w\n", "1: queue-warn '53w' is out of range; "
		    "expected a duration up to 365d, such as 4h, or 0 for "
		    "never" },
		{ "bounce-to postmaster\n", "1: bounce-to 'postmaster' has no "
		    "@; " IS_MAILBOX },
		{ SMTP "connections 0\n", "5: connections '0' is out of range; "
		    "expected a number from 1 to 100" },
		{ SES "rate x\n", "4: rate 'x' is no such number; expected a "
		    "number from 1 to 100000" },
	};
	struct config c;

	(void)state;
	CONF_ALL_REFUSED(bad);
	conf_accepted(&c, SMTP);
	assert_null(c.queue);
	assert_null(c.bounce_to);
	assert_int_equal(c.queue_lifetime, 5 * 86400);
	assert_int_equal(c.queue_warn, 4 * 3600);
	assert_int_equal(c.routes[0].connections, 1);
	assert_int_equal(c.routes[0].rate, 0);
	config_free(&c);
	conf_accepted(&c, "queue /q\nqueue-lifetime 1m\nqueue-warn 0\n"
	    "bounce-to pm@example.com\n" SMTP "connections 4\n"
	    "rate 14\n");
	assert_string_equal(c.queue, "/q");
	assert_string_equal(c.bounce_to, "pm@example.com");
	assert_int_equal(c.queue_lifetime, 60);
	assert_int_equal(c.queue_warn, 0);
	assert_int_equal(c.routes[0].connections, 4);
	assert_int_equal(c.routes[0].rate, 14);
	config_free(&c);
}

/* It may hold a password, so its value never shows. */
static void
test_proxies(void **state)
{
	static const char *const bad[] = { "localhost:1080", "ftp://h", "None",
		"http://u:%0a@h", "socks4://h", "http://h/x", "http://" };
	static const char *const good[][2] = {
		{ "http://u:p%25@h:3128", "http://u:p%25@h:3128" },
		{ "socks5h://[::1]", "socks5h://[::1]" }, { "none", "" },
		{ "off", "" }
	};
	char in[200], text[300];
	struct config c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(in, sizeof in, "route r\nproxy %s\n", bad[i]);
		snprintf(text, sizeof text, "2: the value of 'proxy' %s; "
		    "expected http://[USER:PASSWORD@]HOST[:PORT], socks5://... "
		    "or none", strchr(bad[i], '@') ? "has a login that cannot be "
		    "used (percent-encode what is not a letter or digit)" :
		    "is no proxy's URL");
		conf_refused(in, text);
	}
	conf_refused("route r\nproxy https://u:p@h\n", "2: the value of "
	    "'proxy' wants TLS to the proxy itself, which is not built; "
	    "expected http://[USER:PASSWORD@]HOST[:PORT], socks5://... or none");
	for (i = 0; i < sizeof good / sizeof *good; i++) {
		snprintf(in, sizeof in, "route r\ntype smtp\nhost h\n"
		    "senders *\nproxy %s\n", good[i][0]);
		conf_accepted(&c, in);
		assert_string_equal(c.routes[0].proxy, good[i][1]);
		config_free(&c);
	}
}

/* Behind a proxy neither a socket nor localhost is on this machine. */
static void
test_proxies_and_this_machine(void **state)
{
	static const struct conf_bad cases[] = {
		{ "route r\ntype lmtp\nhost unix:/s\ntls off\nsenders *\n"
		    "proxy http://h\n", "1: route r has a proxy and a Unix "
		    "socket; expected one of them" },
		{ "route r\ntype smtp\nhost localhost\ntls off\nuser u\n"
		    "password p\nsenders *\nproxy socks5://h\n", "1: route r "
		    "would send its password without TLS; expected tls starttls "
		    "or implicit, or a host on this machine" }
	};
	struct config c;

	(void)state;
	CONF_ALL_REFUSED(cases);
	conf_accepted(&c, "route r\ntype smtp\nhost localhost\ntls off\nuser u\n"
	    "password p\nsenders *\nproxy none\n");
	config_free(&c);
}

static void
test_a_choice_that_is_none(void **state)
{
	static const struct conf_bad cases[] = {
		{ "route r\ntype uucp\n", "2: type 'uucp' is none of its "
		    "values; expected ses, smtp, lmtp, maildir or qmail" },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

/* The design's list, so that no keyword is forgotten or added in passing. */
static void
test_the_table_is_the_design(void **state)
{
	static const struct { const char *name; unsigned where; } design[] = {
		{ "hostname", IN_FILE }, { "domain", IN_FILE },
		{ "from", IN_FILE }, { "override-from", IN_FILE },
		{ "aliases", IN_FILE }, { "queue", IN_FILE },
		{ "queue-lifetime", IN_FILE }, { "queue-warn", IN_FILE },
		{ "bounce-to", IN_FILE }, { "log", IN_FILE },
		{ "timeout", IN_FILE }, { "max-size", IN_FILE },
		{ "ca-file", IN_FILE }, { "sandbox", IN_FILE },
		{ "route", IN_FILE | IN_ROUTE },
		{ "type", IN_ROUTE }, { "senders", IN_ROUTE },
		{ "sender", IN_ROUTE }, { "fallback", IN_ROUTE },
		{ "dkim-domain", IN_ROUTE }, { "dkim-selector", IN_ROUTE },
		{ "dkim-key", IN_ROUTE }, { "host", IN_SMTP | IN_LMTP },
		{ "port", IN_SMTP | IN_LMTP }, { "tls", IN_SMTP | IN_LMTP },
		{ "auth", IN_SMTP | IN_LMTP }, { "user", IN_SMTP | IN_LMTP },
		{ "password", IN_SMTP | IN_LMTP },
		{ "password-file", IN_SMTP | IN_LMTP },
		{ "password-command", IN_SMTP | IN_LMTP },
		{ "client-cert", IN_SMTP | IN_LMTP },
		{ "client-key", IN_SMTP | IN_LMTP },
		{ "source-address", IN_SMTP | IN_LMTP },
		{ "connections", IN_SMTP | IN_LMTP },
		{ "ca-file", IN_SES | IN_SMTP | IN_LMTP },
		{ "tls-pin", IN_SES | IN_SMTP | IN_LMTP },
		{ "proxy", IN_SES | IN_SMTP | IN_LMTP },
		{ "rate", IN_SES | IN_SMTP | IN_LMTP }, { "region", IN_SES },
		{ "endpoint", IN_SES }, { "credentials", IN_SES },
		{ "profile", IN_SES }, { "access-key-id", IN_SES },
		{ "secret-access-key", IN_SES },
		{ "secret-access-key-file", IN_SES },
		{ "session-token", IN_SES }, { "role-arn", IN_SES },
		{ "configuration-set", IN_SES }, { "tag", IN_SES },
		{ "from-arn", IN_SES }, { "path", IN_MAILDIR },
		{ "pass-to", IN_QMAIL },
	};
	size_t i;

	(void)state;
	assert_int_equal(sizeof design / sizeof *design, KEYWORDS);
	for (i = 0; i < KEYWORDS; i++) {
		assert_string_equal(keywords[i].name, design[i].name);
		assert_int_equal(keywords[i].where, design[i].where);
	}
}

static void
test_keywords_of_another_type(void **state)
{
	static const struct conf_bad cases[] = {
		{ "route r\ntype smtp\nhost h\nregion x\nsender *\n",
		    "4: 'region' is for routes of type ses; route r is of type "
		    "smtp" },
		{ "route r\nregion x\nhost h\nsender *\ntype smtp\n",
		    "2: 'region' is for routes of type ses; route r is of type "
		    "smtp" },
		{ SES "host h\n", "4: 'host' is for routes of type smtp or "
		    "lmtp; route s is of type ses" },
		{ BOX "tag a=b\n", "5: 'tag' is for routes of type ses; route "
		    "b is of type maildir" },
		{ BOX "ca-file /x\n", "5: 'ca-file' is for routes of type ses, "
		    "smtp or lmtp; route b is of type maildir" },
		{ SMTP "path /x\n" BOX, "5: 'path' is for routes of type "
		    "maildir; route r is of type smtp" },
		{ SES "user u\nroute b\n", "4: 'user' is for routes of type "
		    "smtp or lmtp; route s is of type ses" },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keywords_of_the_whole_file),
		cmocka_unit_test(test_log_targets),
		cmocka_unit_test(test_keywords_of_a_relay),
		cmocka_unit_test(test_keywords_of_ses),
		cmocka_unit_test(test_choices_become_their_enum),
		cmocka_unit_test(test_queue_keywords),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_proxies_and_this_machine),
		cmocka_unit_test(test_a_choice_that_is_none),
		cmocka_unit_test(test_the_table_is_the_design),
		cmocka_unit_test(test_keywords_of_another_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
