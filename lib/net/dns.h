/*
 * Questions to the name servers of resolv.conf, for A and AAAA at once, by UDP
 * (RFC 1035). As musl does: all servers are asked at once and again, a failure
 * is asked once more, the first answer counts. TXT is asked for by TCP too, when
 * the answer was cut.
 */
#ifndef SENDROUTE_DNS_H
#define SENDROUTE_DNS_H

#include "lib/net/resolve.h"

enum {
	DNS_SERVERS = 3,
	DNS_PACKET = 512,
	DNS_TEXT = 4096,	/* of an answer by TCP; by UDP less comes */
	DNS_TXT = 16
};

struct dns {
	struct ip_address servers[DNS_SERVERS];
	size_t nservers;
	bool guessed;		/* none is named: this machine itself */
	unsigned port;
	unsigned timeout, attempts;	/* seconds in all; rounds in that time */
	unsigned ndots;
	char search[RESOLVE_NAME];	/* domains, separated by blanks */
};

/* dns_load(d, file, port): read resolv.conf; what it lacks has its default. */
void dns_load(struct dns *d, const char *file, unsigned port);

/*
 * dns_find(d, name, out, canonical): the addresses of that name, to which
 * nothing is added. Returns their number or why there are none, as resolve
 * does; canonical is changed only by an alias.
 */
int dns_find(const struct dns *d, const char *name,
    struct ip_address out[RESOLVE_MAX], char canonical[RESOLVE_NAME]);

/*
 * dns_text(d, name, answer): the TXT records of that name, as the answer's packet.
 * Its length; 0: none came.
 */
size_t dns_text(const struct dns *d, const char *name,
    unsigned char answer[DNS_TEXT]);

/* dns_question(out, name, type, id): its length, or 0: this can be no name. */
size_t dns_question(unsigned char out[DNS_PACKET], const char *name,
    unsigned type, unsigned id);

/*
 * dns_read(answer, n, type, out, have, canonical): the addresses in an answer
 * behind the `have` ones of out. Returns how many out holds then.
 */
int dns_read(const unsigned char *answer, size_t n, unsigned type,
    struct ip_address out[RESOLVE_MAX], int have, char canonical[RESOLVE_NAME]);

/* A file's lines, without comment and end. Those that do not fit are cut. */
struct dns_lines {
	int fd;
	size_t at, n;
	char block[1024];
};

/* dns_lines_next(l, line, size): false at the end, or when fd is -1. */
bool dns_lines_next(struct dns_lines *l, char *line, size_t size);

/* word_next(at): the next word of a line, with a NUL put behind; NULL: none. */
char *word_next(char **at);

/* dns_skip_name(p, n, at): behind the name at `at`; n or more: it does not end. */
size_t dns_skip_name(const unsigned char *p, size_t n, size_t at);

#endif
