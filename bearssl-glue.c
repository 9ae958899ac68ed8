#include "bearssl-glue.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bearssl.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/net/dial.h"
#include "lib/net/tls_chain.h"
#include "lib/net/tls_profile.h"
#include "lib/net/tls_shown.h"

enum {
	HANDSHAKE_SECONDS = 60,
	READY_READS = 64,	/* without data in them: then something is wrong */
	ALERT_PROTOCOL_VERSION = 70,
	ALERT_HANDSHAKE_FAILURE = 40,
	ALERT_UNRECOGNIZED_NAME = 112
};

/* --- digests --- */

_Static_assert(sizeof(struct sha256) >= sizeof(br_sha256_context),
    "struct sha256 must hold BearSSL's context");

void
sha256_init(struct sha256 *h)
{
	br_sha256_init((br_sha256_context *)(void *)h);
}

void
sha256_update(struct sha256 *h, const void *data, size_t n)
{
	br_sha256_update((br_sha256_context *)(void *)h, data, n);
}

void
sha256_final(const struct sha256 *h, unsigned char out[SHA256_SIZE])
{
	br_sha256_out((const br_sha256_context *)(const void *)h, out);
}

void
sha256(unsigned char out[SHA256_SIZE], const void *data, size_t n)
{
	struct sha256 h;

	sha256_init(&h);
	sha256_update(&h, data, n);
	sha256_final(&h, out);
}

static void
hmac(const br_hash_class *hash, unsigned char *out, const void *key,
    size_t keylen, const void *data, size_t n)
{
	br_hmac_key_context kc;
	br_hmac_context hc;

	br_hmac_key_init(&kc, hash, key, keylen);
	br_hmac_init(&hc, &kc, 0);
	br_hmac_update(&hc, data, n);
	br_hmac_out(&hc, out);
	mem_wipe(&kc, sizeof kc);
	mem_wipe(&hc, sizeof hc);
}

void
hmac_sha256(unsigned char out[SHA256_SIZE], const void *key, size_t keylen,
    const void *data, size_t n)
{
	hmac(&br_sha256_vtable, out, key, keylen, data, n);
}

void
hmac_md5(unsigned char out[MD5_SIZE], const void *key, size_t keylen,
    const void *data, size_t n)
{
	hmac(&br_md5_vtable, out, key, keylen, data, n);
}

void
pbkdf2_sha256(unsigned char out[SHA256_SIZE], const void *password, size_t n,
    const void *salt, size_t salt_size, uint32_t iterations)
{
	unsigned char u[SHA256_SIZE];
	br_hmac_key_context kc;
	br_hmac_context hc;
	size_t i;

	br_hmac_key_init(&kc, &br_sha256_vtable, password, n);
	br_hmac_init(&hc, &kc, 0);
	br_hmac_update(&hc, salt, salt_size);
	br_hmac_update(&hc, "\0\0\0\1", 4);
	br_hmac_out(&hc, u);
	memcpy(out, u, sizeof u);
	while (--iterations > 0) {
		br_hmac_init(&hc, &kc, 0);
		br_hmac_update(&hc, u, sizeof u);
		br_hmac_out(&hc, u);
		for (i = 0; i < sizeof u; i++)
			out[i] ^= u[i];
	}
	mem_wipe(&kc, sizeof kc);
	mem_wipe(&hc, sizeof hc);
	mem_wipe(u, sizeof u);
}

int
random_bytes(void *p, size_t n)
{
	unsigned char *at = p;
	ssize_t got;

	while (n > 0) {
		got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

const char *
tls_library(void)
{
	return "BearSSL 0.6";
}

/* --- the engine --- */

struct tls {
	br_ssl_client_context client;
	struct verifier verifier;
	struct tls_params params;
	struct shown shown;
	unsigned char iobuf[BR_SSL_BUFSIZE_BIDI];
};

/* What an alert of the peer means, where a person can do something about it. */
static void
alert_text(unsigned alert, char *out, size_t size)
{
	switch (alert) {
	case ALERT_PROTOCOL_VERSION:
		snprintf(out, size, "the server refuses TLS 1.2 (alert 70): it "
		    "speaks only another version, perhaps only TLS 1.3");
		return;
	case ALERT_HANDSHAKE_FAILURE:
		snprintf(out, size, "the server shares no cipher suite with us "
		    "(alert 40): it must offer TLS 1.2 with ECDHE and AES-GCM or "
		    "ChaCha20-Poly1305");
		return;
	case ALERT_UNRECOGNIZED_NAME:
		snprintf(out, size,
		    "the server does not know that name (alert 112)");
		return;
	default:
		snprintf(out, size, "the server sent TLS alert %u", alert);
	}
}

/* Keep in the stream why the engine ended. Returns -1. */
static int
engine_failed(struct stream *s, const struct tls *t, int err)
{
	char why[400];

	if (chain_text(&t->verifier, err, why, sizeof why))
		return stream_fail(s, CAUSE_OPERATOR, "TLS: %s", why);
	if (err >= BR_ERR_SEND_FATAL_ALERT)
		snprintf(why, sizeof why, "the peer broke the protocol (we sent "
		    "alert %d)", err - BR_ERR_SEND_FATAL_ALERT);
	else if (err >= BR_ERR_RECV_FATAL_ALERT)
		alert_text((unsigned)(err - BR_ERR_RECV_FATAL_ALERT), why,
		    sizeof why);
	else if (err == BR_ERR_BAD_VERSION || err == BR_ERR_UNKNOWN_TYPE ||
	    err == BR_ERR_UNSUPPORTED_VERSION)
		snprintf(why, sizeof why, "what the server sends is not TLS 1.2 "
		    "(is `tls` right for this port?)");
	else if (err == BR_ERR_NO_RANDOM)
		snprintf(why, sizeof why, "the system gives no random bytes");
	else if (err == BR_ERR_BAD_MAC)
		snprintf(why, sizeof why, "a record was damaged on its way");
	else
		snprintf(why, sizeof why, "the peer broke the protocol (BearSSL "
		    "error %d)", err);
	return stream_fail(s, CAUSE_ROUTE, "TLS: %s", why);
}

/*
 * Writing failed: has the peer sent an alert before it closed? errno is kept.
 */
static bool
has_alert(const struct stream *s, br_ssl_engine_context *eng)
{
	int err = errno;
	unsigned char *p;
	ssize_t k = 1;
	size_t n;

	while (k > 0 && br_ssl_engine_current_state(eng) & BR_SSL_RECVREC) {
		p = br_ssl_engine_recvrec_buf(eng, &n);
		k = recv(s->fd, p, n, 0);
		if (k > 0)
			br_ssl_engine_recvrec_ack(eng, (size_t)k);
	}
	errno = err;
	return br_ssl_engine_current_state(eng) & BR_SSL_CLOSED;
}

/* Send what the engine has ready. 1: some went, 0: it would block, -1. */
static int
send_record(struct stream *s, br_ssl_engine_context *eng)
{
	size_t n;
	unsigned char *p = br_ssl_engine_sendrec_buf(eng, &n);
	ssize_t k;

	do {
		k = send(s->fd, p, n, MSG_NOSIGNAL);
	} while (k < 0 && errno == EINTR);
	if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (k < 0)
		return has_alert(s, eng) ? 1 : stream_fail_errno(s, "write");
	br_ssl_engine_sendrec_ack(eng, (size_t)k);
	return 1;
}

/* Give the engine what has arrived. 1, 0 would block, -1. */
static int
receive_record(struct stream *s, br_ssl_engine_context *eng)
{
	size_t n;
	unsigned char *p = br_ssl_engine_recvrec_buf(eng, &n);
	ssize_t k;

	do {
		k = recv(s->fd, p, n, 0);
	} while (k < 0 && errno == EINTR);
	if (k < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 :
		    stream_fail_errno(s, "read");
	if (k == 0)
		return stream_fail(s, CAUSE_ROUTE,
		    "the peer cut the connection");
	br_ssl_engine_recvrec_ack(eng, (size_t)k);
	return 1;
}

/*
 * The one loop: run the engine until one of the target states holds. Output goes
 * first. Returns 0; 1 when the peer has closed properly; -1 on failure.
 */
static int
run_until(struct stream *s, unsigned target)
{
	struct tls *t = s->ctx;
	br_ssl_engine_context *eng = &t->client.eng;
	unsigned state;
	short want, got;
	int rc, err;

	for (;;) {
		state = br_ssl_engine_current_state(eng);
		if (state & BR_SSL_CLOSED) {
			err = br_ssl_engine_last_error(eng);
			return err == 0 ? 1 : engine_failed(s, t, err);
		}
		rc = 0;
		if (state & BR_SSL_SENDREC)
			rc = send_record(s, eng);
		else if (state & target)
			return 0;
		if (rc == 0 && (state & BR_SSL_RECVREC))
			rc = receive_record(s, eng);
		if (rc < 0)
			return -1;
		if (rc > 0) {
			/* Records without end, of nothing, would never let it poll. */
			if (stream_wait_ms(s) == 0)
				return stream_fail(s, CAUSE_ROUTE, "timed out");
			continue;
		}
		/* Input that nobody has taken yet also ends a blocked write. */
		if (state & target & BR_SSL_RECVAPP)
			return 0;
		want = 0;
		if (state & BR_SSL_SENDREC)
			want |= POLLOUT;
		else
			s->flights++;
		if (state & BR_SSL_RECVREC)
			want |= POLLIN;
		if (stream_poll(s, want, &got) < 0)
			return -1;
	}
}

static ssize_t
tls_read(struct stream *s, void *data, size_t n)
{
	struct tls *t = s->ctx;
	size_t have;
	unsigned char *p;
	int rc = run_until(s, BR_SSL_RECVAPP);

	if (rc != 0)
		return rc > 0 ? 0 : -1;
	p = br_ssl_engine_recvapp_buf(&t->client.eng, &have);
	if (n > have)
		n = have;
	memcpy(data, p, n);
	br_ssl_engine_recvapp_ack(&t->client.eng, n);
	return (ssize_t)n;
}

/* Move decrypted input to the stream's buffer as far as there is room. */
static void
take_input(struct stream *s)
{
	struct tls *t = s->ctx;
	size_t n, room;
	unsigned char *p = br_ssl_engine_recvapp_buf(&t->client.eng, &n);

	room = stream_room(s);
	if (p == NULL || room == 0)
		return;
	if (n > room)
		n = room;
	memcpy(s->in + s->in_len, p, n);
	s->in_len += n;
	br_ssl_engine_recvapp_ack(&t->client.eng, n);
}

/*
 * Run until the engine takes (target SENDAPP) or has sent what it holds; input
 * met on the way is put aside. 0; 1: yield to that input; -1.
 */
static int
push(struct stream *s, bool drain)
{
	br_ssl_engine_context *eng = &((struct tls *)s->ctx)->client.eng;
	unsigned state;
	int rc;

	for (;;) {
		rc = run_until(s, stream_buffered(s) < STREAM_IN ?
		    BR_SSL_SENDAPP | BR_SSL_RECVAPP : BR_SSL_SENDAPP);
		if (rc > 0)
			return stream_fail(s, CAUSE_ROUTE,
			    "the peer closed the connection");
		if (rc < 0)
			return -1;
		state = br_ssl_engine_current_state(eng);
		if (state & BR_SSL_RECVAPP) {
			take_input(s);
			if (s->yield)
				return 1;
			if (state & BR_SSL_SENDREC)
				continue;
		}
		if (state & BR_SSL_SENDAPP)
			return 0;
		if (drain && !(state & BR_SSL_SENDREC))
			return 0;
	}
}

static ssize_t
tls_write(struct stream *s, const void *data, size_t n)
{
	br_ssl_engine_context *eng = &((struct tls *)s->ctx)->client.eng;
	const unsigned char *from = data;
	size_t done = 0, room;
	unsigned char *p;
	int rc;

	while (done < n) {
		rc = push(s, false);
		if (rc != 0)
			return rc < 0 ? -1 : (ssize_t)done;
		p = br_ssl_engine_sendapp_buf(eng, &room);
		if (room > n - done)
			room = n - done;
		memcpy(p, from + done, room);
		br_ssl_engine_sendapp_ack(eng, room);
		br_ssl_engine_flush(eng, 0);
		rc = push(s, true);
		if (rc != 0)
			return rc < 0 ? -1 : (ssize_t)done;
		done += room;
	}
	return (ssize_t)done;
}

static bool
tls_ready(struct stream *s)
{
	br_ssl_engine_context *eng = &((struct tls *)s->ctx)->client.eng;
	unsigned state, reads;

	/* A record may be half here, or hold no data: ask the engine. */
	for (reads = 0; reads < READY_READS; reads++) {
		state = br_ssl_engine_current_state(eng);
		if (state & (BR_SSL_RECVAPP | BR_SSL_CLOSED))
			return true;
		if (!(state & BR_SSL_RECVREC))
			return false;
		switch (receive_record(s, eng)) {
		case 0:
			return false;
		case -1:
			return true;
		default:
			break;
		}
	}
	return true;
}

static void
tls_free(struct tls *t)
{
	chain_free(&t->verifier);
	mem_wipe(t, sizeof *t);
	free(t);
}

/* Say close_notify if the socket takes it now; nobody waits for the answer. */
static void
tls_close(struct stream *s)
{
	struct tls *t = s->ctx;
	br_ssl_engine_context *eng = &t->client.eng;

	if (!s->failed) {
		br_ssl_engine_close(eng);
		while (br_ssl_engine_current_state(eng) & BR_SSL_SENDREC)
			if (send_record(s, eng) <= 0)
				break;
	}
	tls_free(t);
	s->ctx = NULL;
}

_Static_assert(sizeof(struct tls_session) >=
    sizeof(br_ssl_session_parameters), "struct tls_session must hold BearSSL's");

/* Offer the session of an earlier connection. Is there one? */
static bool
set_session(struct tls *t)
{
	const br_ssl_session_parameters *old =
	    (const void *)t->params.resume;

	if (old == NULL || old->session_id_len == 0)
		return false;
	br_ssl_engine_set_session_parameters(&t->client.eng, old);
	return true;
}

/* A fresh engine, ready for its ClientHello. */
static int
prepare(struct stream *s, struct tls *t)
{
	struct verifier *v = &t->verifier;
	int64_t now = clock_wall();
	unsigned char seed[32];
	int rc;

	chain_init(v, &t->params);
	br_x509_minimal_init(&v->minimal, &br_sha256_vtable, v->anchors, 0);
	tls_profile(&t->client, &v->minimal);
	/* Days since the year 0, as BearSSL counts them. */
	br_x509_minimal_set_time(&v->minimal,
	    (uint32_t)(now / 86400 + 719528), (uint32_t)(now % 86400));
	br_ssl_engine_set_x509(&t->client.eng, &v->vtable);
	br_ssl_engine_set_buffer(&t->client.eng, t->iobuf, sizeof t->iobuf, 1);
	if (chain_open(s, v) < 0)
		return -1;
	if (random_bytes(seed, sizeof seed) < 0)
		return stream_fail(s, CAUSE_LOCAL,
		    "TLS: the system gives no random bytes");
	br_ssl_engine_inject_entropy(&t->client.eng, seed, sizeof seed);
	mem_wipe(seed, sizeof seed);
	if (t->params.identity)
		shown_set(&t->shown, &t->client, t->params.identity);
	/* An address is no name for SNI (RFC 6066 section 3). */
	rc = br_ssl_client_reset(&t->client, dial_is_address(t->params.host) ?
	    NULL : t->params.host, set_session(t));
	if (rc == 0)
		return engine_failed(s, t,
		    br_ssl_engine_last_error(&t->client.eng));
	return 0;
}

static int
handshake(struct stream *s, int64_t seconds)
{
	int rc;

	stream_step(s, seconds > 0 && seconds < HANDSHAKE_SECONDS ? seconds :
	    HANDSHAKE_SECONDS);
	rc = run_until(s, BR_SSL_SENDAPP);
	if (rc > 0)
		return stream_fail(s, CAUSE_ROUTE,
		    "TLS: the peer closed the connection");
	return rc;
}

int
tls_start(struct stream *s, const struct tls_params *p, struct log *log)
{
	static const struct stream_ops ops = { tls_read, tls_write, tls_ready,
		tls_close };
	const struct stream_ops *plain = s->ops;
	void *plain_ctx = s->ctx;
	char what[96];
	struct tls *t;

	if (stream_flush(s) < 0)
		return -1;
	if (stream_buffered(s) > 0)
		return stream_fail(s, CAUSE_ROUTE, "the server sent data before "
		    "the TLS handshake (an attack?)");
	t = calloc(1, sizeof *t);
	if (t == NULL)
		return stream_fail(s, CAUSE_LOCAL, "out of memory");
	t->params = *p;
	t->verifier.ca_fd = -1;
	s->ctx = t;
	s->ops = &ops;
	if (prepare(s, t) < 0 || handshake(s, p->seconds) < 0) {
		if (strstr(s->err.text, "TLS: ") == NULL)
			result_set(&s->err, OUT_TEMP, s->err.cause,
			    "%s (TLS handshake)", s->err.text);
		s->ops = plain;
		s->ctx = plain_ctx;
		tls_free(t);
		if (p->resume)
			mem_wipe(p->resume, sizeof *p->resume);
		return -1;
	}
	if (p->resume)
		br_ssl_engine_get_session_parameters(&t->client.eng,
		    (void *)p->resume);
	chain_forget_roots(&t->verifier);
	tls_describe(s, what, sizeof what);
	log_trace(log, "* %s, %s%s", what, t->verifier.leaf.seen ?
	    "certificate for " : "resumed", t->verifier.leaf.name_list);
	return 0;
}

void
tls_describe(const struct stream *s, char *out, size_t size)
{
	static const struct { uint16_t id; const char *name; } suites[] = {
		{ BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		    "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		    "ECDHE-RSA-AES128-GCM-SHA256" },
		{ BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		    "ECDHE-ECDSA-CHACHA20-POLY1305" },
		{ BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		    "ECDHE-RSA-CHACHA20-POLY1305" },
		{ BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		    "ECDHE-ECDSA-AES256-GCM-SHA384" },
		{ BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		    "ECDHE-RSA-AES256-GCM-SHA384" }
	};
	const struct tls *t = s->ctx;
	br_ssl_session_parameters session;
	const char *name = "?";
	size_t i;

	br_ssl_engine_get_session_parameters(&t->client.eng, &session);
	for (i = 0; i < sizeof suites / sizeof suites[0]; i++)
		if (suites[i].id == session.cipher_suite)
			name = suites[i].name;
	snprintf(out, size, "TLS 1.2 %s", name);
	mem_wipe(&session, sizeof session);
}
