/* Certificates seen through lib/net/der.c. */
#define _GNU_SOURCE		/* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/base64.h"
#include "lib/net/der.h"

/* openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=r -days 36500 */
static const char rsa[] =
    "MIIB9jCCAV+gAwIBAgIUbESyc92V1mnBI1JSP8fcVyUiAEMwDQYJKoZIhvcNAQELBQAwDDEK"
    "MAgGA1UEAwwBcjAgFw0yNjExMjQxNTUxNTZaGA8yMTI2MTAzMTE1NTE1NlowDDEKMAgGA1UE"
    "AwwBcjCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAwYsEl8s7ehRChfd01PFo9u1dMypU"
    "bbzXxeK0wcmnFq7sAmQ1a45ZJzJY7qqtBTdiq/9AeeXEhwgOH1+AaJ/o132rcZd35eF6DNfT"
    "hgugd5iMCscQ6goNxhq4J3rIQqJ01tUmKqJom7r61T3jVOdEk30o7fprMTgIpEY+CVJKoEMC"
    "AwEAAaNTMFEwHQYDVR0OBBYEFCvHQ1Eo5wVpf+md46f23NifLwN0MB8GA1UdIwQYMBaAFCvH"
    "Q1Eo5wVpf+md46f23NifLwN0MA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEA"
    "gfCP8ROyiMWUWzGacuL/AMsQm3ZlVcrBwLGUNCSPpRh0dN106eWZoMzrA6EOq7x7DhxtAfaz"
    "Ba1ZeTcit/i7GVkDRd0bgUa+G9DoidaKSibhemm9oHjbIOS+vAGhN+j+GAkta2lV1NjhwDZ/"
    "Y8I//W7XFz1F+ehGjpMj2pubOwY=";

/* The same with -newkey ec -pkeyopt ec_paramgen_curve:prime256v1, /CN=e */
static const char p256[] =
    "MIIBcDCCARWgAwIBAgIUQAsXNH8w7Bph4SsL7xZ3RCGTtWQwCgYIKoZIzj0EAwIwDDEKMAgG"
    "A1UEAwwBZTAgFw0yNjExMjQxNTUxNTZaGA8yMTI2MTAzMTE1NTE1NlowDDEKMAgGA1UEAwwB"
    "ZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAjio/Z2q/vbj+hMsw8v65I6WQ6lGgxyOOa1"
    "q3WtSJMhHlioq90xfepTNieUA7AAidM+83aWZfUYhLuZ5P796rejUzBRMB0GA1UdDgQWBBT+"
    "W+B3++875AYwGLtW2/y1AZCOVzAfBgNVHSMEGDAWgBT+W+B3++875AYwGLtW2/y1AZCOVzAP"
    "BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQC2IvTZHLDTHQNh4w6J4BbZUtiV"
    "CaMTp0hGbDrGfK1WfQIhAOCyONC/CQjXJtmgh+3BsAwm/WmK58e6MMd7cfthmJgr";

/* -newkey ed25519 -addext basicConstraints=CA:FALSE, /CN=d */
static const char ed25519[] =
    "MIIBJjCB2aADAgECAhQD1t0Rrhab9zVlaVhDkZNoj76gHzAFBgMrZXAwDDEKMAgGA1UEAwwB"
    "ZDAeFw0yNjExMjQxNTUxNTdaFw0yNjEyMjQxNTUxNTdaMAwxCjAIBgNVBAMMAWQwKjAFBgMr"
    "ZXADIQDC0gZ6WspmsNGYQ8bNNl/1qIWM5K12eb/6dV9xnMbJx6NNMEswHQYDVR0OBBYEFEEl"
    "4mMY3v2p2HI9WAr3roZcjLHRMB8GA1UdIwQYMBaAFEEl4mMY3v2p2HI9WAr3roZcjLHRMAkG"
    "A1UdEwQCMAAwBQYDK2VwA0EABBLiHaA0n2YT+d5y6Rk8rOEXg/EOT3k9cy7mZmN+03jhyRSl"
    "0DLBvpGGhyWaraw+zgGHbsvLbxXa6fMzBOc0Cw==";

struct cert {
	unsigned char der[600];
	size_t n;
	struct x509_view view;
	struct x509_key key;
};

static bool
load(struct cert *c, const char *text)
{
	ssize_t n = base64_decode(c->der, sizeof c->der, text, strlen(text));

	assert_true(n > 0);
	c->n = (size_t)n;
	assert_int_equal(x509_view(&c->view, c->der, c->n), 0);
	return x509_key(&c->view, &c->key);
}

static void
starts(struct der d, size_t n, const char *hex)
{
	unsigned char bytes[8];

	assert_int_equal(hex_decode(bytes, strlen(hex) / 2, hex), 0);
	assert_int_equal(d.n, n);
	assert_memory_equal(d.p, bytes, strlen(hex) / 2);
}

static void
rsa_key(void **state)
{
	struct cert c;

	(void)state;
	assert_true(load(&c, rsa));
	assert_int_equal(c.key.curve, 0);
	starts(c.key.n, 128, "c18b0497cb3b7a14");
	starts(c.key.e, 3, "010001");
	assert_true(x509_is_ca(&c.view));
}

/* The curve's OID is replaced by one of another length, lengths and all. */
static bool
with_curve(struct cert *c, const char *oid, size_t n)
{
	static const char old[] = "\x2A\x86\x48\xCE\x3D\x03\x01\x07";
	unsigned char *at, *spki = (unsigned char *)(uintptr_t)c->view.spki.p;
	size_t less = sizeof old - 1 - n;

	at = memmem(c->der, c->n, old, sizeof old - 1);
	assert_non_null(at);
	memmove(at + n, at + sizeof old - 1,
	    (size_t)(c->der + c->n - at) - (sizeof old - 1));
	memcpy(at, oid, n);
	at[-1] = (unsigned char)n;
	spki[1] = (unsigned char)(spki[1] - less);	/* its lengths */
	spki[3] = (unsigned char)(spki[3] - less);
	c->view.spki.n -= less;
	return x509_key(&c->view, &c->key);
}

static void
ec_keys(void **state)
{
	struct cert c;

	(void)state;
	assert_true(load(&c, p256));
	assert_int_equal(c.key.curve, 23);
	starts(c.key.q, 65, "0408e2a3f676abfb");
	assert_true(x509_is_ca(&c.view));
	assert_true(with_curve(&c, "\x2B\x81\x04\x00\x22", 5));
	assert_int_equal(c.key.curve, 24);
	starts(c.key.q, 65, "0408e2a3f676abfb");
	load(&c, p256);
	assert_true(with_curve(&c, "\x2B\x81\x04\x00\x23", 5));
	assert_int_equal(c.key.curve, 25);
	load(&c, p256);
	assert_false(with_curve(&c, "\x2B\x81\x04\x00\x0A", 5));
}

static void
other_keys(void **state)
{
	struct cert c;

	(void)state;
	assert_false(load(&c, ed25519));
	assert_false(x509_is_ca(&c.view));
}

/* Integers that are no numbers of a key: negative, zero, none. */
static void
bad_numbers(void **state)
{
	struct cert c;
	unsigned char *n;

	(void)state;
	load(&c, rsa);
	n = (unsigned char *)(uintptr_t)c.key.n.p;
	assert_int_equal(n[-1], 0);
	n[-1] = 0x80;
	assert_false(x509_key(&c.view, &c.key));
	memset(n - 1, 0, 129);
	assert_false(x509_key(&c.view, &c.key));
	n[-3] = 0x80;		/* a length of 0, in two bytes */
	n[-2] = 0;
	assert_false(x509_key(&c.view, &c.key));
}

static void
look(const unsigned char *der, size_t n)
{
	unsigned char *copy = malloc(n > 0 ? n : 1);	/* its end is watched */
	struct x509_view view;
	struct x509_key key;
	char text[50];
	size_t i;
	unsigned sum = 0;

	memcpy(copy, der, n);
	if (x509_view(&view, copy, n) == 0) {
		if (x509_key(&view, &key))
			for (i = 0; i < key.n.n + key.e.n + key.q.n; i++)
				sum += i < key.n.n ? key.n.p[i] :
				    i < key.n.n + key.e.n ?
				    key.e.p[i - key.n.n] :
				    key.q.p[i - key.n.n - key.e.n];
		x509_is_ca(&view);
		x509_names(&view, text, sizeof text);
		x509_common_name(view.subject, text, sizeof text);
	}
	free(copy);
	assert_true(sum < 256 * 600);
}

/* Cut anywhere, any bit turned: nothing outside is read. */
static void
damage(void **state)
{
	const char *const certs[] = { rsa, p256, ed25519 };
	struct cert c;
	size_t i, k;

	(void)state;
	for (k = 0; k < 3; k++) {
		load(&c, certs[k]);
		for (i = 0; i < c.n; i++)
			look(c.der, i);
		for (i = 0; i < c.n * 8; i++) {
			c.der[i / 8] ^= (unsigned char)(1 << i % 8);
			look(c.der, c.n);
			c.der[i / 8] ^= (unsigned char)(1 << i % 8);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rsa_key),
		cmocka_unit_test(ec_keys),
		cmocka_unit_test(other_keys),
		cmocka_unit_test(bad_numbers),
		cmocka_unit_test(damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
