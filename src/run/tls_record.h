/* The record protocol of TLS 1.3 (RFC 8446 §5) once the handshake is over, one direction at a time.
 * For run/tls_*.c only; it reads foreign bytes, and knows nothing of streams.
 *
 * OpenSSL keeps some 12 KB for each connection, all of it for handshakes that are long over, and
 * copies each byte once more than it must. What a connection needs from then on is a key, a nonce
 * and a counter for each direction. */
#pragma once

#include <openssl/evp.h>

#include "base/slice.h"
#include "base/status.h"

#define RECORD_HEADER     5
#define RECORD_PLAIN_MAX  16384
#define RECORD_SEALED_MAX (RECORD_PLAIN_MAX + 256) /* behind the header */
#define RECORD_TAG        16
#define RECORD_EXTRA      (RECORD_HEADER + 1 + RECORD_TAG) /* of one that is written */

enum record_type { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };

/* The alerts that are spoken of here (RFC 8446 §6). */
enum {
    ALERT_CLOSE_NOTIFY = 0,
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_BAD_RECORD_MAC = 20,
    ALERT_RECORD_OVERFLOW = 22,
    ALERT_ILLEGAL_PARAMETER = 47,
    ALERT_USER_CANCELED = 90,
};

/* A cipher suite with what OpenSSL would otherwise look up for each connection anew. */
struct record_suite;

/* All suites of TLS 1.3, for one thread; ends with number 0. NULL: no memory. */
struct record_suite *record_suites_new(void);
void record_suites_free(struct record_suite *suites); /* NULL is fine */

/* One direction. */
struct record_half {
    const struct record_suite *suite; /* borrowed */
    EVP_CIPHER_CTX *cipher;           /* owned */
    uint64_t sequence;                /* of the next record */
    unsigned char nonce[12];
    unsigned char secret[48];
    bool seals;
};

/* By the number of a cipher suite and the direction's traffic secret; `sequence` records have gone
 * already. NOT_FOUND: a suite that is not known here. NO_MEMORY. */
enum status record_half_init(struct record_half *half, const struct record_suite *suites,
    unsigned number, struct slice secret, uint64_t sequence, bool seals);
void record_half_release(struct record_half *half);

/* What somebody else has to know who goes on in its place. To be wiped after use. */
struct record_keys {
    unsigned suite; /* RFC 8446 §B.4 */
    unsigned char key[32];
    size_t key_size;
    unsigned char nonce[12]; /* the first one */
    uint64_t sequence;       /* of the next record */
};

unsigned record_half_suite(const struct record_half *half); /* its number */

/* False: OpenSSL failed. */
bool record_half_tell(const struct record_half *half, struct record_keys *ret_keys);

/* The next generation of keys (RFC 8446 §7.2). */
enum status record_half_update(struct record_half *half);

/* So many records may go under one key (RFC 8446 §5.5 allows AES-GCM some three times as many). */
#define RECORDS_A_KEY ((uint32_t)1 << 23)

static inline bool record_half_is_worn(const struct record_half *half)
{
    return half->sequence >= RECORDS_A_KEY;
}

/* How long the record at the front of `bytes` is, header included; INCOMPLETE while even the header
 * is not there. INVALID: it cannot be one of a protected connection; TOO_LARGE. */
enum status record_measure(struct slice bytes, size_t *ret_size);

/* Opens one whole record into `out`, which has room for as many bytes as the record has behind its
 * header; it may be just that place. INVALID: it is not genuine. NOT_FOUND: it has no type.
 * TOO_LARGE. */
enum status record_open(struct record_half *half, struct slice record, char *out, size_t *ret_size,
    enum record_type *ret_type);

/* Seals one record in three steps: the plaintext, RECORD_PLAIN_MAX bytes at most in any number of
 * pieces, goes to `out` behind RECORD_HEADER bytes. The last yields the record's size; 0: it
 * failed. */
bool record_seal_begin(struct record_half *half, size_t plain_size, char *out);
bool record_seal_piece(struct record_half *half, struct slice piece, char *out);
size_t record_seal_end(
    struct record_half *half, size_t plain_size, enum record_type type, char *out);
