#include "service/witness.h"

#include "base/list.h"

#include <xxhash.h>

static struct witness *witness_of(struct body *body)
{
    return list_entry(body, struct witness, body);
}

static void take(struct witness *witness, struct slice bytes)
{
    if (witness->is_known)
        return;
    if (witness->state)
        (void)XXH64_update(witness->state, bytes.data, bytes.size);
    if (witness->see)
        witness->see(witness->viewer, bytes);
}

static void note_end(struct witness *witness, enum status e)
{
    witness->has_ended = witness->has_ended || e == END;
    witness->has_failed = witness->has_failed || (e != END && e != CANCELLED);
    if (e == END)
        witness->body.trailers = witness->inner->trailers;
}

static enum status read_watched(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct witness *witness = witness_of(body);
    enum status e = body_read(witness->inner, deadline, ret_bytes);
    if (e)
        note_end(witness, e);
    else
        take(witness, *ret_bytes);
    return e;
}

static enum status wait_watched(struct body *body, instant deadline)
{
    return body_wait(witness_of(body)->inner, deadline);
}

static enum status splice_watched(
    struct body *body, instant deadline, struct splice **ret_splice, size_t *ret_size)
{
    struct witness *witness = witness_of(body);
    if (witness->hashes || witness->see)
        return FULL;
    enum status e = body_splice(witness->inner, deadline, ret_splice, ret_size);
    if (e && e != FULL)
        note_end(witness, e);
    return e;
}

/* Who has seen all of it need not read it. */
static struct slice peek_watched(struct body *body, bool *ret_last)
{
    struct witness *witness = witness_of(body);
    struct slice bytes = body_peek(witness->inner, ret_last);
    if (!*ret_last)
        return bytes;
    body->trailers = witness->inner->trailers;
    if (bytes.size)
        take(witness, bytes);
    if (!witness->is_known && witness->state)
        witness->peeked = XXH64_digest(witness->state);
    witness->is_known = true;
    return bytes;
}

static void drop_watched(struct body *body)
{
    struct witness *witness = witness_of(body);
    bool is_whole = witness->has_ended || witness->is_known || body_is_empty(witness->inner);
    uint64_t hash = witness->peeked;
    if (witness->state && !witness->is_known)
        hash = XXH64_digest(witness->state);
    bool can_tell = is_whole && !witness->has_failed && (!witness->hashes || witness->state);
    body_drop(witness->inner);
    (void)XXH64_freeState(witness->state);
    witness->state = NULL;
    if (witness->done)
        witness->done(witness->argument, can_tell, hash);
}

static enum status rewind_watched(struct body *body)
{
    struct witness *witness = witness_of(body);
    struct body *inner = witness->inner;
    bool can = inner->ops->rewind && !witness->hashes;
    enum status e = can ? inner->ops->rewind(inner) : INVALID;
    if (e)
        return e;
    witness->has_ended = witness->has_failed = witness->is_known = false;
    if (witness->see)
        witness->see(witness->viewer, SLICE_NONE);
    return OK;
}

static const struct body_ops ops = {.read = read_watched,
    .wait = wait_watched,
    .splice = splice_watched,
    .peek = peek_watched,
    .drop = drop_watched,
    .rewind = rewind_watched};

static void *new_state(void)
{
    XXH64_state_t *state = XXH64_createState();
    if (state)
        (void)XXH64_reset(state, 0);
    return state;
}

struct body *witness_begin(struct witness *witness, struct body *inner, bool hashes,
    void (*done)(void *argument, bool is_whole, uint64_t hash), void *argument)
{
    *witness = (struct witness){.body = {.ops = &ops, .length = inner->length},
        .inner = inner,
        .hashes = hashes,
        .state = hashes ? new_state() : NULL,
        .done = done,
        .argument = argument};
    return &witness->body;
}

void witness_show(
    struct witness *witness, void (*see)(void *viewer, struct slice bytes), void *viewer)
{
    witness->see = see;
    witness->viewer = viewer;
}

enum status witness_read_all(struct body *body, instant deadline, uint64_t *ret_hash)
{
    XXH64_state_t *state = new_state();
    struct slice bytes;
    enum status e = state ? OK : NO_MEMORY;
    while (!e && !(e = body_read(body, deadline, &bytes)))
        (void)XXH64_update(state, bytes.data, bytes.size);
    if (e == END)
        *ret_hash = XXH64_digest(state);
    (void)XXH64_freeState(state);
    return e;
}
