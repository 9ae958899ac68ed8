/*
 * AWS ini files: a key has the same value alone and among others, on one line and
 * without blanks around it. The first line is the section.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/aws/ini.h"
#include "tests/fuzz/fuzz.h"

static const char *const keys[] = { "aws_access_key_id", "region",
	"credential_process", "sesv2.endpoint_url", "a" };

enum { KEYS = sizeof keys / sizeof keys[0] };

static void
check_value(const char *v, size_t n)
{
	CHECK(strlen(v) == n);
	CHECK(strpbrk(v, "\r\n") == NULL);
	CHECK(n == 0 || (*v != ' ' && *v != '\t'));
	CHECK(n == 0 || (v[n - 1] != ' ' && v[n - 1] != '\t'));
}

FUZZ(ini)
{
	char *section = in_line(in);
	struct ini_item all[KEYS], one;
	struct result res;
	size_t i;
	int rc, alone;

	memset(all, 0, sizeof all);
	for (i = 0; i < KEYS; i++)
		all[i].key = keys[i];
	rc = ini_read_open(file_of(in->p, in->n), "f", section, all, KEYS,
	    &res);
	CHECK(rc >= -1 && rc <= INI_SECTION);
	for (i = 0; i < KEYS; i++) {
		memset(&one, 0, sizeof one);
		one.key = keys[i];
		alone = ini_read_open(file_of(in->p, in->n), "f", section,
		    &one, 1, &res);
		CHECK(rc < 0 || alone == rc);
		if (rc == INI_SECTION) {
			CHECK(one.found == all[i].found);
			CHECK(strcmp(buf_str(&one.value),
			    buf_str(&all[i].value)) == 0);
		} else
			CHECK(rc < 0 || !one.found);
		check_value(buf_str(&all[i].value), all[i].value.len);
		buf_wipe(&one.value);
	}
	for (i = 0; i < KEYS; i++)
		buf_wipe(&all[i].value);
	free(section);
}
