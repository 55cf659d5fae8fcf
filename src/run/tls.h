/* TLS (1.2 and 1.3, OpenSSL 3) on streams: what comes out is a stream again, and whoever reads and
 * writes it need not know.
 *
 *     server   tls_identity  a certificate chain with its key, loaded and checked
 *              tls_server    how one worker answers: identities by name, ALPN, client certificates
 *              tls_accept    puts TLS on a connection that came in
 *     client   tls_client    how to speak to a peer: whom to trust, what to show
 *              tls_connect   puts TLS on a connection that went out
 *     both     tls_handshake, tls_facts
 *
 * Identities, authorities and contexts are made on any thread (the control thread, when a snapshot
 * is built), do not change, and are counted: a stream keeps what it needs, so the snapshot may go
 * first. A tls_server is for one worker, so that workers do not meet at its counters and locks; a
 * tls_client may be shared.
 *
 * What a TLS stream does differently from a socket:
 * - Nothing is read or written before tls_handshake has returned OK.
 * - The end of the bytes is END only after the peer's close_notify. A connection that just ends is
 *   CLOSED: someone may have cut it.
 * - stream_shutdown sends close_notify; reading goes on.
 * - A session ticket or another message of TLS itself is no reason to call whoever parked the
 *   stream, and leaves it quiet.
 * - It cannot be released. Nothing can be spliced from it; long bodies can be to a server's
 *   connection, when the kernel knows TLS and is to be used (run/tls_kernel.h). */
#pragma once

#include "run/stream.h"

/* --- identities: a certificate chain and its key */

struct tls_identity;

/* From PEM: the certificate, then the chain above it if there is one; the key may stand in either.
 * INVALID with a static text that says what is wrong ("the key does not belong to the
 * certificate"); NO_MEMORY. An expired certificate is none of these: see tls_identity_until. */
enum status tls_identity_new(struct slice chain, struct slice key,
    struct tls_identity **ret_identity, const char **ret_problem);
struct tls_identity *tls_identity_ref(struct tls_identity *identity);
void tls_identity_unref(struct tls_identity *identity); /* NULL is fine */

/* Its DNS names ("shop.example", "*.shop.example"): the subject's alternative names, in lower case;
 * borrowed from the identity. */
const struct slice *tls_identity_names(const struct tls_identity *identity, size_t *ret_count);

/* Validity, seconds since 1970. */
int64_t tls_identity_from(const struct tls_identity *identity);
int64_t tls_identity_until(const struct tls_identity *identity);

/* "3f2a…" SHA-256 of the certificate, 64 hexadecimal digits. */
const char *tls_identity_fingerprint(const struct tls_identity *identity);

/* Where its authority answers OCSP questions, or the empty slice. */
struct slice tls_identity_responder(const struct tls_identity *identity);

/* The OCSP response (DER) that clients who ask are shown from now on; empty: none. From any thread,
 * at any time, also while contexts use the identity. INVALID when it is none for this certificate
 * that is good now and says that the certificate is; `*ret_until` is then when the next is due,
 * seconds since 1970. */
enum status tls_identity_staple(
    struct tls_identity *identity, struct slice response, int64_t *ret_until);

/* The question (DER) to be posted to the responder, in memory to be given to free(). INVALID when
 * the chain has no issuer to ask about. */
enum status tls_identity_question(
    const struct tls_identity *identity, char **ret_question, size_t *ret_size);

/* SHA-256 of bytes, as 64 hexadecimal digits and a NUL: to see whether a file has changed. */
#define TLS_DIGEST_SIZE 65
enum status tls_digest(struct slice bytes, char ret_text[TLS_DIGEST_SIZE]);

/* --- authorities: whom to trust */

struct tls_authorities;

/* From PEM, one certificate or more. INVALID with a static text. */
enum status tls_authorities_new(
    struct slice pem, struct tls_authorities **ret_authorities, const char **ret_problem);

/* Those of the system. Takes some 20 ms and 2 MB: make one and share it. */
enum status tls_authorities_system(struct tls_authorities **ret_authorities);
struct tls_authorities *tls_authorities_ref(struct tls_authorities *authorities);
void tls_authorities_unref(struct tls_authorities *authorities); /* NULL is fine */

/* --- tickets: the keys with which servers seal sessions that clients keep (RFC 5077, RFC 8446
 * §4.6.1)
 *
 * One for the process, outside snapshots, so that sessions survive reloads and go on at any worker.
 * It must outlive everything that uses it. */

struct tls_tickets;

#define TLS_TICKET_ROTATE_EVERY                                                  \
    (8 * HOUR)            /* with TLS_TICKET_KEYS: a session lives a day or less \
                           */
#define TLS_TICKET_KEYS 3 /* the newest seals, all of them open */

struct tls_tickets *tls_tickets_new(void); /* NULL: no memory, or no random numbers */
void tls_tickets_free(struct tls_tickets *tickets);

/* A new key; the oldest is forgotten. From any thread. */
enum status tls_tickets_rotate(struct tls_tickets *tickets);

/* The keys as bytes, for a process that replaces this one, so that sessions go on there: how many
 * bytes they are. They are as secret as what they seal. From any thread, as the next. */
#define TLS_TICKETS_BYTES_MAX 256
size_t tls_tickets_save(
    struct tls_tickets *tickets, unsigned char ret_bytes[TLS_TICKETS_BYTES_MAX]);

/* Takes over what was saved. INVALID, and nothing is changed, when it is nothing of the kind. */
enum status tls_tickets_restore(struct tls_tickets *tickets, struct slice bytes);

/* --- servers */

enum tls_version { TLS_1_2, TLS_1_3 };

/* Whether a client shows a certificate. What is shown must be good in any case. */
enum tls_client_certificate {
    TLS_NOT_ASKED,
    TLS_ASKED,   /* a client without one is let in too */
    TLS_REQUIRED /* one without one is not */
};

/* What is answered under some names. */
struct tls_host {
    const struct slice
        *names; /* "a.example", "*.b.example" (one label); none: the identities' own */
    size_t name_count;
    struct tls_identity *const
        *identities; /* of different kinds (ECDSA, RSA): the client's choice */
    size_t identity_count;
    enum tls_client_certificate client;
    struct tls_authorities *authorities; /* of client certificates; NULL: nobody is asked */
};

/* Whoever proves with acme-tls/1 (RFC 8737) that it holds a name: the identity to show for it,
 * counted for the caller; NULL: none. On the worker's thread. */
typedef struct tls_identity *tls_challenge(void *argument, struct slice name);

struct tls_server_options {
    const struct tls_host *hosts; /* the first also answers names that nobody has, and none */
    size_t host_count;
    bool is_strict;                /* ... unless this: such a client is refused */
    const struct slice *protocols; /* ALPN, the best first ("h2", "http/1.1"); none: not spoken */
    size_t protocol_count;
    enum tls_version least;      /* the oldest version; TLS_1_2 by default */
    bool uses_kernel;            /* long bodies are encrypted by the kernel, if it can */
    struct tls_tickets *tickets; /* borrowed; NULL: no session is resumed */
    tls_challenge *challenge;    /* or NULL */
    void *challenge_argument;
};

struct tls_server;

/* Mozilla's "intermediate" profile. Copies or counts what it needs of the options. When a name is
 * in several hosts the first has it. */
enum status tls_server_new(
    const struct tls_server_options *options, struct tls_server **ret_server);
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server); /* NULL is fine */

/* TLS on an incoming connection, which the new stream owns from then on (not on failure). `early`:
 * bytes that have been read from it already; copied. */
enum status tls_accept(struct stream *below, struct tls_server *server, struct slice early,
    struct stream **ret_stream);

/* --- clients */

struct tls_client_options {
    bool trusts_anyone;                  /* no verification at all */
    struct tls_authorities *authorities; /* needed otherwise */
    struct tls_identity *identity;       /* to show when asked; or NULL */
    const struct slice *protocols;       /* ALPN, as above */
    size_t protocol_count;
};

struct tls_client;

enum status tls_client_new(
    const struct tls_client_options *options, struct tls_client **ret_client);
struct tls_client *tls_client_ref(struct tls_client *client);
void tls_client_unref(struct tls_client *client); /* NULL is fine */

/* The newest session with a peer, to be resumed; kept by whoever connects to it again and again, on
 * one thread. Zeroed at the beginning; must outlive the streams that were given it. One made with
 * another tls_client is not used. */
struct tls_session {
    void *session; /* owned */
    uint64_t of;   /* of which tls_client */
};
void tls_session_release(struct tls_session *session);

/* The session of a stream is kept no longer: its room goes before the stream does. Harmless when
 * the stream is not TLS. */
void tls_session_leave(struct stream *stream);

/* TLS on an outgoing connection, which the new stream owns from then on (not on failure). `name` is
 * what the certificate must be for, a DNS name (sent as SNI) or an IP address. `session` may be
 * NULL. */
enum status tls_connect(struct stream *below, struct tls_client *client, struct slice name,
    struct tls_session *session, struct stream **ret_stream);

/* --- both */

/* Once, before anything else. TIMEOUT, CANCELLED, CLOSED (the peer went away), NO_MEMORY;
 * TLS_CERTIFICATE (the peer's is not good, or missing), TLS_ALERT (the peer refuses us),
 * TLS_PROTOCOL (any other disagreement). After a failure the stream is only good to be closed, and
 * asked for tls_trouble. */
enum status tls_handshake(struct stream *stream, instant deadline);

/* The stream under it: for tests, which break it. NULL when the stream is not TLS. */
struct stream *tls_below(const struct stream *stream);

/* What a handshake failed for, in OpenSSL's words ("no shared cipher", "certificate has expired");
 * "" when nothing is known. Static. */
const char *tls_trouble(const struct stream *stream);

/* The number of the alert that the peer refused us with (RFC 8446 §6); -1: none. */
int tls_alert(const struct stream *stream);

/* What was agreed. Borrowed from the stream, but for static texts. */
struct tls_facts {
    const char *version;   /* "TLSv1.3" */
    const char *cipher;    /* "TLS_AES_128_GCM_SHA256" */
    struct slice protocol; /* ALPN: "h2"; empty: none */
    struct slice name;     /* SNI, lower case; empty: none */
    bool is_resumed;
    bool has_certificate; /* the peer has shown one, and it is good */
    bool is_challenge;    /* acme-tls/1: nothing else is to be said on this connection */
};

/* After the handshake. False when the stream is not TLS. */
bool tls_facts(const struct stream *stream, struct tls_facts *ret_facts);

/* The peer's certificate. Found out when first asked for, borrowed from the stream. */
struct tls_certificate {
    struct slice subject;      /* RFC 2253: "CN=alice,O=Shop" */
    struct slice issuer;       /* the same */
    struct slice serial;       /* hexadecimal */
    struct slice fingerprint;  /* SHA-256 of the certificate, 64 hexadecimal digits */
    const struct slice *names; /* alternative names: DNS names, e-mail addresses, URIs, addresses */
    size_t name_count;
    int64_t until; /* seconds since 1970 */
};

/* NULL when the stream is not TLS, the peer has shown none, or there is no memory. */
const struct tls_certificate *tls_certificate(struct stream *stream);
