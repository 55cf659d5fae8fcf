/* What the store keeps of a request that came with an Idempotency-Key, as bytes:
 *
 *     "WIK1"  kind  fingerprint(64)  token(8)  owner(8)  begun(8)  until(8)
 *     of an answer: status(2)  fields  trailers  body, to the end
 *     fields, trailers: count(4), then for each size(4) name size(4) value
 *
 * Numbers begin with their highest byte. Times are milliseconds since 1970. Whoever reads trusts
 * nothing: the store may be others' too. */
#pragma once

#include "base/text.h"
#include "http/fields.h"

#define IDEMPOTENCY_FINGERPRINT_SIZE ((size_t)64)

enum idempotency_kind {
    IDEMPOTENCY_RUNNING = 'r', /* somebody works on it, until the lease ends */
    IDEMPOTENCY_DONE = 'd',    /* with the whole answer */
    IDEMPOTENCY_LARGE = 'l'    /* with the answer's head alone */
};

struct idempotency_record {
    enum idempotency_kind kind;
    struct slice fingerprint;
    uint64_t token; /* grows with each owner of the same key */
    uint64_t owner; /* drawn: who wrote it knows it again */
    int64_t begun;  /* when the request was */
    int64_t until;  /* the end of the lease, or of how long the answer is kept */

    /* Of an answer. */
    int status;
    struct slice fields, trailers; /* to be walked */
    struct slice body;
};

/* Reads one; it borrows the bytes. INVALID. */
enum status idempotency_record_parse(struct slice bytes, struct idempotency_record *ret_record);

/* Takes the next field off `*rest`, of a record that was read. */
bool idempotency_record_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value);

/* Appends what an answer has not, and all of a running one. */
void idempotency_record_write(const struct idempotency_record *record, struct text *text);

/* Appends fields as records have them (`trailers` may be NULL). Those that mean one message alone
 * (its length) are left out, and those in `without`. */
void idempotency_record_write_fields(
    const struct fields *fields, const struct fields *without, struct text *text);

/* Puts a record's fields into a message's. NO_MEMORY. */
enum status idempotency_record_read_fields(struct slice rest, struct fields *fields);
