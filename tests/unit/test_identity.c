/* Keys in PEM files, whole and damaged; no damage may be more than a refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/base64.h"
#include "lib/net/identity.h"

/* What a command prints. */
static char *
printed(const char *command)
{
	FILE *f = popen(command, "r");
	char *text = calloc(1, IDENTITY_PEM);

	assert_non_null(f);
	assert_true(fread(text, 1, IDENTITY_PEM - 1, f) > 0);
	pclose(f);
	return text;
}

static const char *const commands[] = {
	"openssl genrsa 2048 2>/dev/null",
	"openssl genrsa -traditional 2048 2>/dev/null",
	"openssl ecparam -name prime256v1 -genkey 2>/dev/null",
	"openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-521"
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void
keys_as_openssl_writes_them(void **state)
{
	struct private_key key;
	const char *wrong;
	char *pem;
	size_t i;

	(void)state;
	for (i = 0; i < COMMANDS; i++) {
		pem = printed(commands[i]);
		wrong = private_key_parse(&key, pem);
		if (wrong)
			fail_msg("%s: %s", commands[i], wrong);
		assert_int_equal(key.curve, i < 2 ? 0 : i == 2 ? 23 : 25);
		if (i < 2) {
			assert_int_equal(private_key_bits(&key), 2048);
			assert_int_equal(key.n.n, 256);
			assert_int_equal(key.p.n, 128);
		}
		private_key_free(&key);
		private_key_free(&key);
		free(pem);
	}
}

/* What is kept of a key lies within it, and is no longer than the engine bears. */
static void
judge(const char *pem)
{
	struct private_key key;

	if (private_key_parse(&key, pem) != NULL) {
		assert_null(key.bytes);
		return;
	}
	if (key.curve != 0)
		assert_in_range(key.x.n, 1, 66);
	else {
		assert_in_range(key.n.n, 1, RSA_KEY_MAX);
		assert_in_range(key.p.n, 1, RSA_KEY_MAX / 2);
		assert_in_range(key.q.n, 1, RSA_KEY_MAX / 2);
		assert_in_range(key.dp.n, 1, key.p.n);
		assert_in_range(key.dq.n, 1, key.q.n);
		assert_in_range(key.iq.n, 1, key.p.n);
		assert_true(key.iq.p + key.iq.n <= key.bytes + key.size);
	}
	private_key_free(&key);
}

static void
as_pem(char *out, const void *der, size_t n)
{
	strcpy(out, "-----BEGIN PRIVATE KEY-----\n");
	n = base64_encode(out + strlen(out), der, n);
	strcpy(out + sizeof "-----BEGIN PRIVATE KEY-----\n" - 1 + n,
	    "\n-----END PRIVATE KEY-----\n");
}

/* Every byte replaced by others, and every length cut, in DER and in PEM. */
static void
damaged_keys(void **state)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x02, 0x04, 0x30,
		0x7f, 0x80, 0x81, 0x82, 0x83, 0x84, 0xff };
	unsigned char der[4096], was;
	char *pem, text[8192], *end;
	ssize_t size;
	size_t i, k, n;

	(void)state;
	for (i = 0; i < COMMANDS; i++) {
		pem = printed(commands[i]);
		end = strstr(pem, "PRIVATE KEY-----");
		assert_non_null(end);
		end += sizeof "PRIVATE KEY-----" - 1;
		size = base64_decode(der, sizeof der, end, (size_t)(strstr(end,
		    "-----END") - end));
		assert_true(size > 0);
		for (n = 0; n < (size_t)size; n++) {
			as_pem(text, der, n);
			judge(text);
			was = der[n];
			for (k = 0; k < sizeof values; k++) {
				der[n] = values[k];
				as_pem(text, der, (size_t)size);
				judge(text);
			}
			der[n] = was;
		}
		for (n = strlen(pem); n > 0; n--) {
			pem[n] = '\0';
			judge(pem);
		}
		free(pem);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_as_openssl_writes_them),
		cmocka_unit_test(damaged_keys)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
