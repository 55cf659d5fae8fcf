/* The inside of TLS, for run/tls_*.c only. */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/table.h"
#include "run/parking.h"
#include "run/tls_record.h"
#include "run/tls.h"

struct tls_certificate_facts;

#define TLS_RECORD_MAX 16384 /* plaintext bytes of one record (RFC 8446 §5.1) */
#define TLS_NAME_MAX   253

struct buffer;

struct tls_identity {
    _Atomic uint32_t users;
    X509 *leaf;             /* owned, as the next */
    STACK_OF(X509) * chain; /* above it */
    EVP_PKEY *key;
    struct arena arena; /* of names and texts */
    struct slice *names;
    size_t name_count;
    struct slice responder;
    int64_t from, until;
    char fingerprint[TLS_DIGEST_SIZE];

    /* Guarded: the control thread writes, workers read once a handshake that asks. */
    pthread_mutex_t mutex;
    unsigned char *staple; /* owned */
    size_t staple_size;
};

struct tls_authorities {
    _Atomic uint32_t users;
    X509_STORE *store;          /* owned, as the next */
    STACK_OF(X509_NAME) * list; /* what clients are told; NULL: the system's */
    unsigned char digest[32];   /* of what they are made from */
};

/* The key with which a session is sealed. */
struct tls_ticket_key {
    unsigned char name[16], secret[32], proof[32];
};

struct tls_ticket_keys {
    struct tls_ticket_key keys[TLS_TICKET_KEYS]; /* the newest first */
    uint32_t count;
};

struct tls_tickets {
    _Atomic uint32_t generation; /* changes with each rotation */
    pthread_mutex_t mutex;
    struct tls_ticket_keys keys; /* guarded */
};

/* A server's own copy, so that workers do not meet at the lock. */
struct tls_ticket_copy {
    struct tls_tickets *source; /* borrowed; NULL: none */
    uint32_t generation;        /* of the copy; 0: none yet */
    struct tls_ticket_keys keys;
    EVP_CIPHER *cipher; /* owned */
};

enum status tls_ticket_copy_init(struct tls_ticket_copy *copy, struct tls_tickets *source);
void tls_ticket_copy_release(struct tls_ticket_copy *copy);

/* Seals and opens sessions of this context by the keys of its streams' servers. */
void tls_tickets_install(SSL_CTX *context);

/* One of a server's hosts. */
struct tls_server_host {
    SSL_CTX *context;                 /* owned; its application data is this struct */
    struct tls_identity **identities; /* owned array, counted items */
    size_t identity_count;
    enum tls_client_certificate client;
    struct slice *names; /* in the server's arena, in lower case */
    size_t name_count;
    unsigned char session_context[32]; /* sessions of hosts that differ here are not resumed */
};

struct tls_server {
    _Atomic uint32_t users;
    BIO_METHOD *method;            /* owned */
    struct arena arena;            /* of names */
    struct tls_server_host *hosts; /* owned; host_count of them */
    size_t host_count;
    struct table names; /* of hosts, by name in lower case */
    bool is_strict;
    bool uses_kernel;
    uint8_t kernel_refuses;   /* suites that it does not know, by the last bits of their numbers */
    unsigned char *protocols; /* in the arena, as ALPN writes them */
    unsigned protocols_size;
    struct tls_ticket_copy tickets;
    struct record_suite *suites; /* owned */
    tls_challenge *challenge;
    void *challenge_argument;
};

struct tls_client {
    _Atomic uint32_t users;
    BIO_METHOD *method; /* owned */
    SSL_CTX *context;   /* owned */
    uint64_t number;    /* tells this client from all others */
};

/* Bytes that are kept until they can be used. */
struct tls_kept {
    char *data; /* owned */
    size_t begin, size;
};

#define KEY_UPDATE_SIZE ((size_t)5)

/* What a connection needs once OpenSSL's part is over (tls_direct.c). */
struct tls_direct {
    struct record_half in, out;
    struct tls_kept plain; /* opened, not read yet */
    const char *version, *cipher;
    X509 *certificate; /* owned: the peer's, or NULL */
    bool is_resumed, is_verified;
    bool is_in_kernel; /* what we send is encrypted there (tls_kernel.c) */
    bool owes_alert;   /* which found no room there yet */
    unsigned char alert[2];
    bool owes_update;     /* the peer wants us to change our keys before we write again */
    uint8_t message_size; /* of the part of a KeyUpdate that has come */
    unsigned char message[KEY_UPDATE_SIZE];
    unsigned idle_records; /* in a row that carried nothing */
};

/* Noted while the handshake goes on, for what comes after. */
struct tls_secrets {
    unsigned char in[48], out[48];
    size_t in_size, out_size; /* 0: not known */
    unsigned out_records;     /* that were sent since the client's Finished */
};

struct tls {
    struct stream stream;
    struct stream *below;        /* owned */
    SSL *ssl;                    /* owned; its application data is this struct; NULL: `direct` */
    struct tls_direct *direct;   /* owned, or NULL */
    struct tls_secrets *secrets; /* owned, until the end of the handshake; or NULL */
    struct slice protocol;       /* that a server chose; its own */
    struct tls_server *server;   /* counted; NULL: a client's side */
    struct tls_client *client;   /* counted; NULL: a server's side */
    struct tls_session *session; /* borrowed, or NULL */
    struct tls_kept early;       /* read from below before TLS began */
    struct tls_kept unsent;      /* records that the stream below had no room for */
    struct buffer *gathered;     /* records that will leave together; NULL: they leave at once */
    size_t gathered_size;
    bool is_ready;    /* the handshake is over */
    bool is_flushing; /* a fiber writes to the stream below */
    bool is_corked;   /* a ticket waits for the first answer: one packet for both */
    bool is_challenge;
    bool has_said_end;         /* close_notify was sent */
    bool below_ended;          /* no more bytes come from below */
    enum status outcome;       /* sticky: of everything from now on; OK: it works */
    enum status outcome_in;    /* sticky: of reading alone; END: the peer says no more */
    enum status below_outcome; /* what reading from the stream below failed with */
    enum status out_outcome;   /* the same of writing: nothing can follow what has gone half */
    uint32_t written;          /* records, under the present keys */
    unsigned long error;       /* OpenSSL's; 0: none */
    int reason;                /* of it, if it is of the SSL library; 0: none */
    long verdict;              /* X509_V_… on the peer's certificate */
    int alert;                 /* that the peer sent; -1: none */
    struct parking parking;
    char *name;                                /* owned: SNI in lower case, or NULL */
    struct tls_certificate_facts *certificate; /* owned, or NULL */
};

struct tls *tls_of(const struct stream *stream); /* NULL when it is not TLS */

static inline struct tls *tls_of_ssl(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

/* --- tls_bio.c: between OpenSSL and the stream below. It never waits. */

BIO_METHOD *tls_bio_method(void); /* NULL: no memory */
BIO *tls_bio_new(BIO_METHOD *method, struct tls *tls);

/* Sends records straight to the stream below, waiting as needed; what TLS itself says meanwhile is
 * kept. After a failure nothing more is sent. */
enum status tls_send(struct tls *tls, const void *data, size_t size, instant deadline);

/* Sends what is kept as far as that goes without waiting; OK: nothing is left. */
enum status tls_push(struct tls *tls);

/* Without waiting: what finds no room now is kept. */
enum status tls_send_or_keep(struct tls *tls, const char *data, size_t size);

/* The same for what is kept. */
enum status tls_flush(struct tls *tls, instant deadline);

bool tls_keep(struct tls_kept *kept, const void *data, size_t size);
void tls_forget(struct tls_kept *kept);

/* --- tls_stream.c */

/* What all TLS streams do alike. */
void tls_unpark(struct stream *stream);
void tls_on_break(struct stream *stream, stream_callback *call, void *argument);
void tls_bound_unsent(struct stream *stream, size_t size);
const struct address *tls_peer(const struct stream *stream);
const struct address *tls_local(const struct stream *stream);
int tls_release(struct stream *stream);

/* Makes a stream; the SSL object of `context` is not yet given a side. */
enum status tls_new(struct stream *below, SSL_CTX *context, BIO_METHOD *method, struct slice early,
    struct tls **ret_tls);

void tls_free(struct tls *tls); /* but not the stream below */

/* --- tls_identity.c, tls_staple.c */

int64_t tls_seconds_of(const ASN1_TIME *time); /* since 1970 */

/* SHA-256 in 64 hexadecimal digits. */
bool tls_fingerprint(const X509 *certificate, char ret_text[TLS_DIGEST_SIZE]);

/* To be freed by OPENSSL_free; NULL: none, or no memory. */
unsigned char *tls_copy_staple(struct tls_identity *identity, size_t *ret_size);

/* --- tls_server.c */

/* At the end of a handshake: nobody is in who should not be. */
bool tls_server_approves(const struct tls *tls);

/* --- tls_secrets.c */

/* Lets the connections of a context note what tls_direct_begin needs. */
void tls_secrets_install(SSL_CTX *context);
void tls_secrets_free(struct tls_secrets *secrets); /* NULL is fine */

/* --- tls_end.c */

/* Shuts the stream below down, behind what is kept: waits for a peer that is slow to read. */
enum status tls_end_below(struct tls *tls);

/* Closes and frees both streams; what is kept is still sent, by a fiber of its own. */
void tls_leave(struct tls *tls);
void tls_break_off(struct stream *stream);

/* --- tls_direct.c: servers' connections with TLS 1.3 go on without OpenSSL's state */

/* At the end of a server's handshake: from now on the stream reads and writes records itself, if
 * it can. OK also when it cannot; NO_MEMORY. */
enum status tls_direct_begin(struct tls *tls);
void tls_direct_free(struct tls_direct *direct);
extern const struct stream_ops tls_direct_ops;

/* --- tls_error.c: what OpenSSL says, in our words */

/* What a call came to that did not succeed: INCOMPLETE when it wants more bytes from below, END at
 * the peer's close_notify; all else breaks the stream, and is its outcome from then on. The
 * thread's error queue, which all its fibers share, must have been cleared before the call. */
enum status tls_failure(struct tls *tls, int result);

/* --- tls_name.c: what is read here and not by OpenSSL, out of a ClientHello */

/* A name in lower case with a NUL behind it; false, and "", when it cannot be one. */
bool tls_lower_name(struct slice name, char ret_name[TLS_NAME_MAX + 1]);

/* The DNS name in a server_name extension (RFC 6066 §3), in lower case with a NUL behind it, or
 * "": malformed, none, or no possible name. */
void tls_read_name(struct slice extension, char ret_name[TLS_NAME_MAX + 1]);

/* True when an ALPN extension (RFC 7301 §3.1) names `protocol` and nothing else. */
bool tls_asks_only_for(struct slice extension, struct slice protocol);

/* --- tls_context.c: what all contexts have in common */

SSL_CTX *tls_context_new(const SSL_METHOD *method, enum tls_version least);

/* The identity's certificates and key; copies of them, so that threads do not meet at their
 * counters. */
enum status tls_context_show(SSL_CTX *context, const struct tls_identity *identity);

/* As ALPN writes a list of protocols, in the arena. INVALID: one is empty or too long. */
enum status tls_write_protocols(struct arena *arena, const struct slice *protocols, size_t count,
    unsigned char **ret_bytes, unsigned *ret_size);

void tls_certificate_facts_free(struct tls_certificate_facts *facts);
