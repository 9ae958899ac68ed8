#include "lib/base/base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encode(char *out, const void *in, size_t n)
{
	const unsigned char *p = in;
	char *o = out;
	uint32_t v;

	for (; n >= 3; n -= 3, p += 3, o += 4) {
		v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		o[0] = alphabet[v >> 18];
		o[1] = alphabet[v >> 12 & 63];
		o[2] = alphabet[v >> 6 & 63];
		o[3] = alphabet[v & 63];
	}
	if (n > 0) {
		v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0);
		o[0] = alphabet[v >> 18];
		o[1] = alphabet[v >> 12 & 63];
		o[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
		o[3] = '=';
		o += 4;
	}
	return (size_t)(o - out);
}

/* Value of a base64 character, 64 for white space, 65 for '=', else 255. */
static unsigned
value_of(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26u;
	if (c >= '0' && c <= '9')
		return c - '0' + 52u;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	if (c == '=')
		return 65;
	return c == ' ' || (c >= '\t' && c <= '\r') ? 64 : 255;
}

ssize_t
base64_decode(void *out, size_t size, const char *in, size_t n)
{
	unsigned char *o = out;
	uint32_t acc = 0;
	unsigned bits = 0, v, pad = 0;
	size_t i, len = 0, digits = 0;

	for (i = 0; i < n; i++) {
		v = value_of((unsigned char)in[i]);
		if (v == 64)
			continue;
		if (v == 65) {
			pad++;
			continue;
		}
		if (v > 63 || pad > 0)
			return -1;
		digits++;
		acc = acc << 6 | v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			if (len == size)
				return -1;
			o[len++] = (unsigned char)(acc >> bits);
		}
	}
	/* 4k+1 digits hold no whole byte; padding, if any, completes a group. */
	if (digits % 4 == 1 || (acc & ((1u << bits) - 1)) != 0)
		return -1;
	if (pad > 0 && (digits + pad) % 4 != 0)
		return -1;
	return pad > 2 ? -1 : (ssize_t)len;
}

size_t
base64_prefix(void *out, size_t size, const char *in, size_t n)
{
	unsigned char *o = out;
	uint32_t acc = 0;
	unsigned bits = 0, v;
	size_t i, len = 0;

	for (i = 0; i < n && len < size; i++) {
		v = value_of((unsigned char)in[i]);
		if (v == 64)
			continue;
		if (v > 63)
			break;
		acc = acc << 6 | v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			o[len++] = (unsigned char)(acc >> bits);
		}
	}
	return len;
}

void
hex_encode(char *out, const void *in, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	const unsigned char *p = in;

	for (; n > 0; n--, p++) {
		*out++ = digit[*p >> 4];
		*out++ = digit[*p & 15];
	}
	*out = '\0';
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
hex_decode(void *out, size_t n, const char *s)
{
	unsigned char *o = out;
	int hi, lo;

	if (strlen(s) != 2 * n)
		return -1;
	for (; n > 0; n--, s += 2) {
		hi = nibble(s[0]);
		lo = nibble(s[1]);
		if (hi < 0 || lo < 0)
			return -1;
		*o++ = (unsigned char)(hi << 4 | lo);
	}
	return 0;
}
