/*
 * Functions in place of the C library's, which are made for long strings and
 * are larger by 2 KiB.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef TEXT_TEST
#define strchr text_strchr
#define strncmp text_strncmp
#define strstr text_strstr
#define strspn text_strspn
#define strcspn text_strcspn
#define strcpy text_strcpy
#define strncpy text_strncpy
char *text_strchr(const char *, int);
int text_strncmp(const char *, const char *, size_t);
char *text_strstr(const char *, const char *);
size_t text_strspn(const char *, const char *);
size_t text_strcspn(const char *, const char *);
char *text_strcpy(char *, const char *);
char *text_strncpy(char *, const char *, size_t);
#endif

#if defined(TEXT_TEST) || !defined(__GLIBC__)

char *
strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (*s == '\0')
			return NULL;
	return (char *)(uintptr_t)s;
}

int
strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; n--, a++, b++)
		if (*a != *b || *a == '\0')
			return (unsigned char)*a - (unsigned char)*b;
	return 0;
}

/* Needles are short here, so trying each place is quick enough. */
char *
strstr(const char *s, const char *needle)
{
	size_t n = strlen(needle);

	for (; n > 0 && (s = strchr(s, *needle)) != NULL; s++)
		if (strncmp(s, needle, n) == 0)
			break;
	return (char *)(uintptr_t)s;
}

/* How many bytes at the front are of the set, or are not. */
static size_t
span(const char *s, const char *set, bool of_it)
{
	size_t n = 0;

	while (s[n] && (strchr(set, s[n]) != NULL) == of_it)
		n++;
	return n;
}

size_t
strspn(const char *s, const char *set)
{
	return span(s, set, true);
}

size_t
strcspn(const char *s, const char *set)
{
	return span(s, set, false);
}

char *
strcpy(char *to, const char *s)
{
	return memcpy(to, s, strlen(s) + 1);
}

/* if_nametoindex calls it. */
char *
strncpy(char *to, const char *s, size_t n)
{
	size_t len = strnlen(s, n);

	memset(to + len, 0, n - len);
	return memcpy(to, s, len);
}

#endif
