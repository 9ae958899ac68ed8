#include "lib/config/values.h"

#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buf.h"
#include "lib/config/senders.h"
#include "lib/net/dial.h"
#include "lib/net/proxy.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define ALNUM LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS

enum {
	NAME_MAX_LENGTH = 64, LABEL_MAX = 63, DOMAIN_MAX = 253, LOCAL_MAX = 64,
	PATH_MAX_LENGTH = 4095, SOCKET_PATH_MAX = 103, TAG_MAX = 256
};

static const char out_of_range[] = "is out of range";
static const char too_long[] = "is too long";
static const char wrong_character[] = "holds a character that cannot be in it";

/* s consists of the characters of set and of more, and is 1 to max long. */
static const char *
check_word(const char *s, const char *set, const char *more, size_t max)
{
	size_t n = strlen(s);

	if (n > max)
		return too_long;
	for (; *s; s++)
		if (!strchr(set, *s) && !strchr(more, *s))
			return wrong_character;
	return NULL;
}

static const char *
check_visible(const char *s, const char *start, size_t max)
{
	if (strncmp(s, start, strlen(start)) != 0)
		return "starts otherwise";
	if (strlen(s) > max)
		return too_long;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return wrong_character;
	return NULL;
}

bool
value_is_domain(const char *s)
{
	size_t label;

	if (strlen(s) > DOMAIN_MAX)
		return false;
	for (;; s++) {
		label = strspn(s, ALNUM "-_");
		if (label == 0 || label > LABEL_MAX || s[0] == '-' ||
		    s[label - 1] == '-')
			return false;
		s += label;
		if (*s == '\0')
			return true;
		if (*s != '.')
			return false;
	}
}

static const char *
check_path(const char *s)
{
	if (s[0] != '/')
		return "is no absolute path";
	return strlen(s) > PATH_MAX_LENGTH ? too_long : NULL;
}

static const char *
check_host(const char *s)
{
	const char *top;

	if (strncmp(s, "unix:", 5) == 0)
		return strlen(s + 5) > SOCKET_PATH_MAX ? too_long :
		    check_path(s + 5);
	if (dial_is_address(s) && (s[0] != '[') == (strchr(s, ']') == NULL))
		return s[0] == '[' && !strchr(s, ':') ?
		    "is no IPv6 address" : NULL;
	if (!value_is_domain(s))
		return "is no host";
	/* All digits behind the last dot: meant as an address, but is none. */
	top = strrchr(s, '.');
	top = top ? top + 1 : s;
	return top[strspn(top, DIGITS)] == '\0' ? "is no address" : NULL;
}

static bool
is_quoted_local(const char *s, size_t n)
{
	size_t i;

	if (n < 3 || s[0] != '"' || s[n - 1] != '"')
		return false;
	for (i = 1; i < n - 1; i++)
		if (s[i] == '"' || (s[i] == '\\' && ++i == n - 1))
			return false;
	return true;
}

static const char *
check_mailbox(const char *s)
{
	const char *at = strrchr(s, '@');
	size_t n;

	if (at == NULL)
		return "has no @";
	n = (size_t)(at - s);
	if (check_visible(s, "", LOCAL_MAX + 1 + DOMAIN_MAX) ||
	    strpbrk(s, "<>") || n > LOCAL_MAX || !value_is_domain(at + 1))
		return "is no address";
	if (s[0] == '"')
		return is_quoted_local(s, n) ? NULL : "is no address";
	return n == 0 || strcspn(s, "()[]\\,;:\"@") < n ?
	    "is no address" : NULL;
}

static const char *
check_url(const char *s)
{
	struct http_url url;

	if (http_url_parse(s, &url) < 0)
		return "is no URL of http or https";
	if (!url.tls && !dial_is_loopback(url.host))
		return "would send without TLS";
	return NULL;
}

bool
value_is_none(const char *s)
{
	return strcmp(s, "none") == 0 || strcmp(s, "off") == 0;
}

static const char *
check_proxy(const char *s)
{
	struct proxy p;
	const char *wrong = NULL;

	if (!value_is_none(s))
		wrong = strstr(s, "://") ? proxy_parse(s, &p) :
		    "is no proxy's URL";
	mem_wipe(&p, sizeof p);
	return wrong;
}

static const char *
check_pin(const char *s)
{
	unsigned char hash[32];

	if (strncmp(s, "sha256:", 7) != 0)
		return "does not start with sha256:";
	return hex_decode(hash, sizeof hash, s + 7) < 0 ?
	    "has not 64 hex digits" : NULL;
}

static const char *
check_tag(const char *s)
{
	size_t name = strspn(s, ALNUM "-_");
	size_t value;

	if (s[name] != '=')
		return s[name] ? wrong_character : "has no =";
	value = strspn(s + name + 1, ALNUM "-_");
	if (s[name + 1 + value] != '\0')
		return wrong_character;
	if (name == 0 || value == 0)
		return "is empty on one side";
	return name > TAG_MAX || value > TAG_MAX ? too_long : NULL;
}

static const char *
check_choice(const char *words, const char *s, uint64_t *number)
{
	size_t n = strlen(s), word;
	uint64_t i;

	for (i = 0; *words; i++) {
		word = strcspn(words, " ");
		if (word == n && memcmp(words, s, n) == 0) {
			*number = i;
			return NULL;
		}
		words += word + (words[word] == ' ');
	}
	return "is none of its values";
}

/* Digits and one letter of units, whose i-th stands for factors[i]. */
static const char *
check_number(const struct keyword *k, const char *s, const char *units,
    const uint32_t *factors, uint64_t *number)
{
	size_t n = strspn(s, DIGITS);
	const char *unit = NULL;
	char digits[12];
	uint64_t v;

	if (s[n] != '\0')
		unit = s[n + 1] == '\0' ? strchr(units, s[n]) : NULL;
	if (n == 0 || (s[n] != '\0' && unit == NULL))
		return "is no such number";
	if (n >= sizeof digits)
		return out_of_range;
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (number_parse(digits, 0, UINT32_MAX, &v) < 0)
		return out_of_range;
	v *= unit ? factors[unit - units] : 1;
	if (v < k->min || v > k->max)
		return out_of_range;
	*number = v;
	return NULL;
}

static const char *
check_numeric(const struct keyword *k, const char *s, uint64_t *number)
{
	static const uint32_t seconds[] = { 1, 60, 3600, 86400, 604800 };
	static const uint32_t bytes[] = { 1 << 10, 1 << 20, 1 << 30,
	    1 << 10, 1 << 20, 1 << 30 };

	if (k->type == KW_DURATION)
		return check_number(k, s, "smhdw", seconds, number);
	if (k->type == KW_SIZE)
		return check_number(k, s, "kmgKMG", bytes, number);
	return check_number(k, s, "", NULL, number);
}

static const char *
check_one_of(const char *s, const char *a, const char *b)
{
	return strcmp(s, a) == 0 || strcmp(s, b) == 0 ? NULL : check_path(s);
}

const char *
value_check(const struct keyword *k, const char *value, uint64_t *number)
{
	if (*value == '\0')
		return "is empty";
	switch ((enum keyword_type)k->type) {
	case KW_ROUTE:
	case KW_NAME:
		return check_word(value, ALNUM, "-_.", NAME_MAX_LENGTH);
	case KW_TEXT:
		return strlen(value) > k->max ? too_long : NULL;
	case KW_WORD:
		return check_word(value, ALNUM, k->set, k->max);
	case KW_REGION:
		return check_word(value, LOWER DIGITS, "-", k->max);
	case KW_VISIBLE:
		return check_visible(value, k->set, k->max);
	case KW_DOMAIN:
		return value_is_domain(value) ? NULL : "is no domain name";
	case KW_HOST:
		return check_host(value);
	case KW_ADDRESS:
		return dial_is_address(value) ? NULL : "is no address";
	case KW_MAILBOX:
		return check_mailbox(value);
	case KW_PATH:
		return check_path(value);
	case KW_URL:
		return check_url(value);
	case KW_PROXY:
		return check_proxy(value);
	case KW_PIN:
		return check_pin(value);
	case KW_TAG:
		return check_tag(value);
	case KW_SENDERS:
		return check_one_of(value, "builtin", "*");
	case KW_PATTERN:
		return senders_pattern_valid(value) ? NULL : "is no pattern";
	case KW_LOG:
		return check_one_of(value, "syslog", "none");
	case KW_CHOICE:
		return check_choice(k->set, value, number);
	case KW_COUNT:
	case KW_PORT:
	case KW_DURATION:
	case KW_SIZE:
		return check_numeric(k, value, number);
	}
	return "cannot be judged";
}
