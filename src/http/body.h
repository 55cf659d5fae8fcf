/* Bodies: bytes that are pulled as they are needed. Whoever reads decides the pace: not reading is
 * back-pressure.
 *
 * A body belongs to its exchange. Policies may put a body of their own in front of another, which
 * it reads from. */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"
#include "http/fields.h"

struct body;
struct splice;

#define BODY_LENGTH_UNKNOWN ((int64_t)-1)

struct body_ops {
    /* The next bytes, at least one: they stay valid until the next read or drop. END after the
     * last. Errors are sticky, but for CANCELLED, which is the reader's own: another fiber can go
     * on. */
    enum status (*read)(struct body *body, instant deadline, struct slice *ret_bytes);

    /* Bytes that are here already, without waiting; empty when there are none or it is not known.
     * `*ret_last` is true when the body ends with them (and the trailers are known then). They stay
     * valid until read, which yields the same bytes; what an earlier read yielded stays valid too.
     * NULL: never any. */
    struct slice (*peek)(struct body *body, bool *ret_last);

    /* Waits until reading would not: also OK at the end or after an error, which reading tells.
     * TIMEOUT, after which all can go on; CANCELLED. Ends what an earlier read yielded. NULL: not
     * known, as if reading would not wait. */
    enum status (*wait)(struct body *body, instant deadline);

    /* As read, but the bytes come in a pipe (run/splice.h), which the caller gives back. FULL: not
     * now, read instead. NULL: never. */
    enum status (*splice)(
        struct body *body, instant deadline, struct splice **ret_splice, size_t *ret_size);

    /* The reader wants no more: releases what the body holds (buffers, connections). Called exactly
     * once, also after END or an error. NULL: nothing to do. */
    void (*drop)(struct body *body);

    /* Begins anew from the first byte, for a second try; INVALID when that cannot be. NULL: cannot.
     */
    enum status (*rewind)(struct body *body);
};

struct body {
    const struct body_ops *ops;
    int64_t length;                /* bytes in all, or BODY_LENGTH_UNKNOWN */
    const struct fields *trailers; /* valid after END; NULL: none */
};

/* No body at all: length 0. */
void body_init_empty(struct body *body);

/* A body of bytes that outlive it. Can be rewound. */
struct body_slice {
    struct body body;
    struct slice bytes;
    bool done;
};
struct body *body_init_slice(struct body_slice *body, struct slice bytes);

static inline enum status body_read(struct body *body, instant deadline, struct slice *ret_bytes)
{
    return body->ops->read(body, deadline, ret_bytes);
}

static inline enum status body_wait(struct body *body, instant deadline)
{
    return body->ops->wait ? body->ops->wait(body, deadline) : OK;
}

static inline enum status body_splice(
    struct body *body, instant deadline, struct splice **ret_splice, size_t *ret_size)
{
    return body->ops->splice ? body->ops->splice(body, deadline, ret_splice, ret_size) : FULL;
}

static inline struct slice body_peek(struct body *body, bool *ret_last)
{
    if (body->ops->peek)
        return body->ops->peek(body, ret_last);
    *ret_last = false;
    return SLICE_NONE;
}

static inline void body_drop(struct body *body)
{
    if (body->ops->drop)
        body->ops->drop(body);
}

static inline bool body_is_empty(const struct body *body)
{
    return body->length == 0;
}

/* Reads all of it into the arena; TOO_LARGE past `limit`. */
enum status body_read_all(struct body *body, struct arena *arena, size_t limit, instant deadline,
    struct slice *ret_bytes);

/* Appends all of it to a text that may grow to `limit` bytes; TOO_LARGE past them, NO_MEMORY. */
enum status body_read_into(struct body *body, struct text *text, size_t limit, instant deadline);

/* What went wrong with a body, as the client and the log are to hear it: with the client's, or with
 * an upstream's, which may carry on what was wrong with the client's. All is well stays well. */
enum status body_status_of_client(enum status e);
enum status body_status_of_upstream(enum status e);
