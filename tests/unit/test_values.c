/* What the values of keywords may be. */
#include "lib/config/values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "tests/unit/conf.h"

static void
test_values_of_the_whole_file(void **state)
{
	static const struct conf_bad cases[] = {
		{ "hostname a..b\n", "1: hostname 'a..b' is no domain name; "
		    IS_DOMAIN },
		{ "hostname .b\n", "1: hostname '.b' is no domain name; "
		    IS_DOMAIN },
		{ "hostname b.\n", "1: hostname 'b.' is no domain name; "
		    IS_DOMAIN },
		{ "hostname -b\n", "1: hostname '-b' is no domain name; "
		    IS_DOMAIN },
		{ "hostname b-.c\n", "1: hostname 'b-.c' is no domain name; "
		    IS_DOMAIN },
		{ "domain a@b\n", "1: domain 'a@b' is no domain name; "
		    IS_DOMAIN },
		{ "domain \"a b\"\n", "1: domain 'a b' is no domain name; "
		    IS_DOMAIN },
		{ "domain \xc3\xa4\n", "1: domain '\xc3\xa4' is no domain "
		    "name; " IS_DOMAIN },
		{ "hostname " D60 "1234\n", "1: hostname '" D60 "1234' is no "
		    "domain name; " IS_DOMAIN },
		{ "from alerts\n", "1: from 'alerts' has no @; " IS_MAILBOX },
		{ "from @example.com\n", "1: from '@example.com' is no "
		    "address; " IS_MAILBOX },
		{ "from a@\n", "1: from 'a@' is no address; " IS_MAILBOX },
		{ "from a@b@c\n", "1: from 'a@b@c' is no address; "
		    IS_MAILBOX },
		{ "from <a@b>\n", "1: from '<a@b>' is no address; "
		    IS_MAILBOX },
		{ "from \"a b@c\"\n", "1: from 'a b@c' is no address; "
		    IS_MAILBOX },
		{ "from \"\\\"a\\\"b@c\"\n", "1: from '\"a\"b@c' is no "
		    "address; " IS_MAILBOX },
		{ "from \"\\\"a\\\"b\\\"@c\"\n", "1: from '\"a\"b\"@c' is no "
		    "address; " IS_MAILBOX },
		{ "from \"\\\"a\\\\\\\"@c\"\n", "1: from '\"a\\\"@c' is no "
		    "address; " IS_MAILBOX },
		{ "from a,b@c\n", "1: from 'a,b@c' is no address; "
		    IS_MAILBOX },
		{ "override-from root\n", "1: override-from 'root' has no @; "
		    IS_MAILBOX },
		{ "log mail.log\n", "1: log 'mail.log' is no absolute path; "
		    "expected syslog, none or an absolute path" },
		{ "ca-file roots.pem\n", "1: ca-file 'roots.pem' is no "
		    "absolute path; " IS_PATH },
		{ "timeout 0\n", "1: timeout '0' is out of range; " IS_TIME },
		{ "timeout 61m\n", "1: timeout '61m' is out of range; "
		    IS_TIME },
		{ "timeout 3601\n", "1: timeout '3601' is out of range; "
		    IS_TIME },
		{ "timeout 5x\n", "1: timeout '5x' is no such number; "
		    IS_TIME },
		{ "timeout m\n", "1: timeout 'm' is no such number; " IS_TIME },
		{ "timeout -1\n", "1: timeout '-1' is no such number; "
		    IS_TIME },
		{ "timeout 5ms\n", "1: timeout '5ms' is no such number; "
		    IS_TIME },
		{ "timeout 1h5m\n", "1: timeout '1h5m' is no such number; "
		    IS_TIME },
		{ "timeout 5M\n", "1: timeout '5M' is no such number; "
		    IS_TIME },
		{ "timeout 4294967297\n", "1: timeout '4294967297' is out of "
		    "range; " IS_TIME },
		{ "timeout 184467440737095516161\n", "1: timeout "
		    "'184467440737095516161' is out of range; " IS_TIME },
		{ "max-size 1023\n", "1: max-size '1023' is out of range; "
		    IS_SIZE },
		{ "max-size 3g\n", "1: max-size '3g' is out of range; "
		    IS_SIZE },
		{ "max-size 4194304k\n", "1: max-size '4194304k' is out of "
		    "range; " IS_SIZE },
		{ "max-size 4096t\n", "1: max-size '4096t' is no such "
		    "number; " IS_SIZE },
		{ "max-size 1.5m\n", "1: max-size '1.5m' is no such number; "
		    IS_SIZE },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

static void
test_values_of_a_relay(void **state)
{
	static const struct conf_bad cases[] = {
		{ SMTP "port 0\n", "5: port '0' is out of range; " IS_PORT },
		{ SMTP "port 65536\n", "5: port '65536' is out of range; "
		    IS_PORT },
		{ SMTP "port smtp\n", "5: port 'smtp' is no such number; "
		    IS_PORT },
		{ SMTP "port 25k\n", "5: port '25k' is no such number; "
		    IS_PORT },
		{ "route r\nhost a:25\n", "2: host 'a:25' is no host; "
		    IS_HOST },
		{ "route r\nhost a/b\n", "2: host 'a/b' is no host; " IS_HOST },
		{ "route r\nhost a.\n", "2: host 'a.' is no host; " IS_HOST },
		{ "route r\nhost [a.b]\n", "2: host '[a.b]' is no host; "
		    IS_HOST },
		{ "route r\nhost [192.0.2.1]\n", "2: host '[192.0.2.1]' is no "
		    "IPv6 address; " IS_HOST },
		{ "route r\nhost [::1\n", "2: host '[::1' is no host; "
		    IS_HOST },
		{ "route r\nhost ::1]\n", "2: host '::1]' is no host; "
		    IS_HOST },
		{ "route r\nhost 192.0.2.256\n", "2: host '192.0.2.256' is no "
		    "address; " IS_HOST },
		{ "route r\nhost 127.1\n", "2: host '127.1' is no address; "
		    IS_HOST },
		{ "route r\nhost unix:run/x\n", "2: host 'unix:run/x' is no "
		    "absolute path; " IS_HOST },
		{ "route r\nhost unix:/" D60 "12345678901234567890123456789"
		    "01234567890123\n", "2: host 'unix:/" D60 "12345678901234' "
		    "is too long; " IS_HOST },
		{ SMTP "tls on\n", "5: tls 'on' is none of its values; "
		    "expected starttls, implicit or off" },
		{ SMTP "tls start\n", "5: tls 'start' is none of its values; "
		    "expected starttls, implicit or off" },
		{ SMTP "tls \"starttls implicit\"\n", "5: tls 'starttls "
		    "implicit' is none of its values; expected starttls, "
		    "implicit or off" },
		{ SMTP "auth digest\n", "5: auth 'digest' is none of its "
		    "values; " IS_AUTH },
		{ SMTP "auth |\n", "5: auth '|' is none of its values; "
		    IS_AUTH },
		{ SMTP "auth scram\n", "5: auth 'scram' is none of its values; "
		    IS_AUTH },
		{ SMTP "auth SCRAM-SHA-256\n", "5: auth 'SCRAM-SHA-256' is "
		    "none of its values; " IS_AUTH },
		{ SMTP "tls-pin " HEX64 "\n", "5: tls-pin '" HEX64 "' does not "
		    "start with sha256:; " IS_PIN },
		{ SMTP "tls-pin sha256:" HEX16 "\n", "5: tls-pin 'sha256:"
		    HEX16 "' has not 64 hex digits; " IS_PIN },
		{ SMTP "tls-pin sha256:" HEX64 "0\n", "5: tls-pin 'sha256:"
		    HEX64 "0' has not 64 hex digits; " IS_PIN },
		{ SMTP "tls-pin sha256:g" HEX16 "\n", "5: tls-pin 'sha256:g"
		    HEX16 "' has not 64 hex digits; " IS_PIN },
		{ SMTP "client-cert c\n", "5: client-cert 'c' is no absolute "
		    "path; " IS_PATH },
		{ SMTP "client-key c\n", "5: client-key 'c' is no absolute "
		    "path; " IS_PATH },
		{ SMTP "source-address eth0\n", "5: source-address 'eth0' is "
		    "no address; expected an IPv4 or IPv6 address" },
		{ SMTP "password-file secret\n", "5: password-file 'secret' "
		    "is no absolute path; " IS_PATH },
		{ SMTP "password \"\"\n", "5: the value of 'password' is "
		    "empty; expected text of 4096 bytes at most" },
		{ SMTP "password-command \"\"\n", "5: the value of "
		    "'password-command' is empty; expected a command for "
		    "/bin/sh" },
		{ SMTP "fallback a/b\n", "5: fallback 'a/b' holds a character "
		    "that cannot be in it; expected the name of a route" },
		{ SMTP "senders list\n", "5: senders 'list' is no absolute "
		    "path; expected the absolute path of a list, builtin or "
		    "*" },
		{ SMTP "senders @example.com\n", "5: senders '@example.com' is "
		    "no absolute path; expected the absolute path of a list, "
		    "builtin or *" },
		{ SMTP "sender example.com\n", "5: sender 'example.com' is no "
		    "pattern; " IS_PATTERN },
		{ "route a/b\n", "1: route 'a/b' holds a character that cannot "
		    "be in it; " IS_NAME },
		{ "route " D60 "12345\n", "1: route '" D60 "12345' is too "
		    "long; " IS_NAME },
		{ "route\n", "1: 'route' has no value; " IS_NAME },
		{ "route b\ntype maildir\npath box\n", "3: path 'box' is no "
		    "absolute path; " IS_PATH },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

static void
test_values_of_ses(void **state)
{
	static const struct conf_bad cases[] = {
		{ SES "region EU\n", "4: region 'EU' holds a character that "
		    "cannot be in it; expected a region such as eu-west-1" },
		{ SES "region eu.west\n", "4: region 'eu.west' holds a "
		    "character that cannot be in it; expected a region such as "
		    "eu-west-1" },
		{ SES "endpoint email.example\n", "4: endpoint "
		    "'email.example' is no URL of http or https; " IS_URL },
		{ SES "endpoint ftp://a/\n", "4: endpoint 'ftp://a/' is no URL "
		    "of http or https; " IS_URL },
		{ SES "endpoint http://192.0.2.1:80/\n", "4: endpoint "
		    "'http://192.0.2.1:80/' would send without TLS; " IS_URL },
		{ SES "endpoint http://localhost.example/\n", "4: endpoint "
		    "'http://localhost.example/' would send without TLS; "
		    IS_URL },
		{ SES "credentials auth\n", "4: credentials 'auth' is none of "
		    "its values; expected auto, env, file, static, container or "
		    "imds" },
		{ SES "role-arn x\n", "4: role-arn 'x' starts otherwise; "
		    "expected arn:..." },
		{ SES "access-key-id AK/IA\n", "4: access-key-id 'AK/IA' holds "
		    "a character that cannot be in it; expected the 16 to 128 "
		    "letters and digits that AWS shows" },
		{ SES "secret-access-key \"hun ter\"\n", "4: the value of "
		    "'secret-access-key' holds a character that cannot be in "
		    "it; expected the key as AWS showed it" },
		{ SES "session-token \xc3\xa4\n", "4: the value of "
		    "'session-token' holds a character that cannot be in it; "
		    "expected the token as AWS showed it" },
		{ SES "configuration-set a.b\n", "4: configuration-set 'a.b' "
		    "holds a character that cannot be in it; expected 64 "
		    "letters, digits, '-' and '_' at most" },
		{ SES "configuration-set " D60 "12345\n", "4: "
		    "configuration-set '" D60 "12345' is too long; expected 64 "
		    "letters, digits, '-' and '_' at most" },
		{ SES "tag a\n", "4: tag 'a' has no =; " IS_TAG },
		{ SES "tag =b\n", "4: tag '=b' is empty on one side; "
		    IS_TAG },
		{ SES "tag a=\n", "4: tag 'a=' is empty on one side; "
		    IS_TAG },
		{ SES "tag a=b=c\n", "4: tag 'a=b=c' holds a character that "
		    "cannot be in it; " IS_TAG },
		{ SES "tag a.b=c\n", "4: tag 'a.b=c' holds a character that "
		    "cannot be in it; " IS_TAG },
		{ SES "tag a=" D60 D60 D60 D60 D10 "1234567\n", "4: tag 'a=" D60
		    D10 "12345678' is too long; " IS_TAG },
		{ SES "from-arn ses\n", "4: from-arn 'ses' starts otherwise; "
		    "expected arn:..." },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

static void
test_values_at_their_limits(void **state)
{
	static const struct {
		const char *in;
		int64_t timeout;
		uint64_t size;
	} cases[] = {
		{ "timeout 1", 1, 0 }, { "timeout 1s", 1, 0 },
		{ "timeout 3600", 3600, 0 }, { "timeout 60m", 3600, 0 },
		{ "timeout 1h", 3600, 0 }, { "timeout 5m", 300, 0 },
		{ "max-size 1024", 0, 1024 }, { "max-size 1k", 0, 1024 },
		{ "max-size 40m", 0, 41943040 }, { "max-size 40M", 0, 41943040 },
		{ "max-size 2g", 0, 2147483648 }, { "max-size 1G", 0, 1u << 30 },
		{ "max-size 2048K", 0, 2097152 },
	};
	struct config c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		conf_accepted(&c, cases[i].in);
		assert_int_equal(c.timeout, cases[i].timeout);
		assert_int_equal(c.max_size, cases[i].size);
		config_free(&c);
	}
}

static void
test_addresses_that_are_accepted(void **state)
{
	static const struct { const char *written, *want; } cases[] = {
		{ "a@b", "a@b" },
		{ "first.last+tag@mail.example.com",
		    "first.last+tag@mail.example.com" },
		{ "\"\\\"a@b\\\"@example.com\"", "\"a@b\"@example.com" },
		{ "\"\\\"a\\\\\\\"b\\\"@c\"", "\"a\\\"b\"@c" },
	};
	struct buf b = { 0 };
	struct config c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_reset(&b);
		buf_addf(&b, "from %s\noverride-from %s\n", cases[i].written,
		    cases[i].written);
		conf_accepted(&c, buf_str(&b));
		assert_string_equal(c.from, cases[i].want);
		assert_string_equal(c.override_from, cases[i].want);
		config_free(&c);
	}
	buf_free(&b);
}

static void
test_hosts_that_are_accepted(void **state)
{
	static const char *const hosts[] = { "h", "smtp.example.com", "_x.y",
	    "192.0.2.1", "[2001:db8::1]", "2001:db8::1", "1and1.example",
	    "example.1a", "unix:/run/smtp.sock" };
	struct buf b = { 0 };
	struct config c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		buf_reset(&b);
		buf_addf(&b, "route r\ntype smtp\ntls off\nsender *\nhost %s\n",
		    hosts[i]);
		conf_accepted(&c, buf_str(&b));
		assert_string_equal(c.routes[0].host, hosts[i]);
		config_free(&c);
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_of_the_whole_file),
		cmocka_unit_test(test_values_of_a_relay),
		cmocka_unit_test(test_values_of_ses),
		cmocka_unit_test(test_values_at_their_limits),
		cmocka_unit_test(test_addresses_that_are_accepted),
		cmocka_unit_test(test_hosts_that_are_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
