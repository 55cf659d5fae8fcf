#include "policy/idempotency_hold.h"

#include "base/random.h"
#include "run/loop.h"

#define RECORD_MAX  ((size_t)160) /* bytes of a running one */
#define PAUSE_LEAST (5 * MILLISECOND)
#define PAUSE_MOST  (200 * MILLISECOND)

/* --- records */

static int64_t running_time(const struct idempotency_hold *hold)
{
    return hold->keep > DAY ? hold->keep : DAY;
}

static int64_t wall_milliseconds(void)
{
    return loop_wall() / MILLISECOND;
}

int64_t idempotency_hold_expiry(const struct idempotency_hold *hold)
{
    return wall_milliseconds() + hold->keep / MILLISECOND;
}

/* Tokens grow: with the time, and past that of who had the key before. */
static enum status make_running(
    struct idempotency_hold *hold, struct slice fingerprint, uint64_t token_before)
{
    int64_t now = wall_milliseconds();
    uint64_t token = (uint64_t)loop_wall() / MICROSECOND;
    hold->running = (struct idempotency_record){.kind = IDEMPOTENCY_RUNNING,
        .fingerprint = fingerprint,
        .token = token > token_before ? token : token_before + 1,
        .begun = now,
        .until = now + hold->lease / MILLISECOND};
    random_bytes(&hold->running.owner, sizeof hold->running.owner);
    char room[RECORD_MAX];
    struct text text = text_fixed(room, sizeof room);
    idempotency_record_write(&hold->running, &text);
    hold->bytes = text.failed ? SLICE_NONE : arena_copy(hold->arena, text_slice(&text));
    hold->has_renewed = false;
    return hold->bytes.data ? OK : NO_MEMORY;
}

/* --- the store */

/* It may have been done, or not. */
static bool is_in_doubt(enum status e)
{
    return e == TIMEOUT || e == CLOSED;
}

/* Once more when nobody knows whether it was done: what is there then is the owner's own. */
static enum status add(struct idempotency_hold *hold, instant deadline, struct slice *ret_there)
{
    enum status e = store_add(hold->store, hold->worker, hold->name, hold->bytes,
        running_time(hold), deadline, hold->arena, ret_there);
    if (!is_in_doubt(e))
        return e;
    e = store_add(hold->store, hold->worker, hold->name, hold->bytes, running_time(hold),
        clock_after(loop_now(), SECOND), hold->arena, ret_there);
    return e == CONFLICT && slice_equal(*ret_there, hold->bytes) ? OK : e;
}

static struct slice lease_name(struct idempotency_hold *hold, uint64_t token)
{
    return arena_format(hold->arena, "%.*s:%llu", SLICE_ARG(hold->name), (unsigned long long)token);
}

/* Whether who works on it is still there. */
static enum status look_at_lease(struct idempotency_hold *hold,
    const struct idempotency_record *there, instant deadline, enum idempotency_taken *ret_taken)
{
    struct slice owner, name = lease_name(hold, there->token);
    if (!name.data)
        return NO_MEMORY;
    enum status e = there->until > wall_milliseconds()
                        ? OK
                        : store_get(hold->store, hold->worker, name, deadline, hold->arena, &owner);
    if (e && e != NOT_FOUND)
        return e;
    *ret_taken = e ? IDEMPOTENCY_UNKNOWN : IDEMPOTENCY_THEIRS;
    return OK;
}

enum status idempotency_hold_take(struct idempotency_hold *hold, struct slice fingerprint,
    instant deadline, enum idempotency_taken *ret_taken, struct idempotency_record *ret_there)
{
    struct slice there = SLICE_NONE;
    struct idempotency_record record;
    enum status e = make_running(hold, fingerprint, 0);
    if (!e)
        e = add(hold, deadline, &there);
    if (!e)
        *ret_taken = IDEMPOTENCY_MINE;
    if (e != CONFLICT)
        return e;
    e = idempotency_record_parse(there, &record);
    if (e)
        return e;
    if (record.kind != IDEMPOTENCY_RUNNING)
        *ret_taken = IDEMPOTENCY_RESULT;
    else
        e = look_at_lease(hold, &record, deadline, ret_taken);
    if (!e)
        *ret_there = record;
    return e;
}

enum status idempotency_hold_take_over(struct idempotency_hold *hold,
    const struct idempotency_record *there, struct slice fingerprint, instant deadline)
{
    char room[RECORD_MAX];
    struct text before = text_fixed(room, sizeof room);
    idempotency_record_write(there, &before);
    enum status e = make_running(hold, fingerprint, there->token);
    if (e)
        return e;
    return store_swap(hold->store, hold->worker, hold->name, text_slice(&before), hold->bytes,
        running_time(hold), deadline);
}

/* Brings the lease in, or finds it there. */
static enum status begin_lease(
    struct idempotency_hold *hold, struct slice name, struct slice owner, instant deadline)
{
    struct slice there;
    enum status e = store_add(
        hold->store, hold->worker, name, owner, hold->lease, deadline, hold->arena, &there);
    return e == CONFLICT && slice_equal(there, owner) ? OK : e;
}

enum status idempotency_hold_renew(struct idempotency_hold *hold, instant deadline)
{
    char room[sizeof hold->running.owner];
    struct slice owner = slice_of(room, sizeof room);
    struct slice name = lease_name(hold, hold->running.token);
    memcpy(room, &hold->running.owner, sizeof room);
    if (!name.data)
        return NO_MEMORY;
    enum status e = CONFLICT;
    if (hold->has_renewed)
        e = store_swap(hold->store, hold->worker, name, owner, owner, hold->lease, deadline);
    if (e == CONFLICT)
        e = begin_lease(hold, name, owner, deadline);
    hold->has_renewed = hold->has_renewed || !e;
    return e;
}

/* --- the end */

/* After a swap in doubt: whether the result is there. */
static enum status look_again(struct idempotency_hold *hold, struct slice result, instant deadline)
{
    struct slice there;
    enum status e = store_get(hold->store, hold->worker, hold->name, deadline, hold->arena, &there);
    if (e == NOT_FOUND)
        return result.data ? CONFLICT : OK;
    return e ? e : slice_equal(there, result) ? OK : CONFLICT;
}

static bool may_change(enum status e)
{
    return is_in_doubt(e) || e == STORE_UNAVAILABLE;
}

enum status idempotency_hold_end(
    struct idempotency_hold *hold, struct slice result, instant deadline)
{
    bool was_in_doubt = false;
    for (unsigned failures = 0;; failures++) {
        enum status e = store_swap(
            hold->store, hold->worker, hold->name, hold->bytes, result, hold->keep, deadline);
        was_in_doubt = was_in_doubt || is_in_doubt(e);
        if (e == CONFLICT && was_in_doubt)
            e = look_again(hold, result, deadline);
        instant next = loop_now() + random_pause(loop_random(), PAUSE_LEAST, PAUSE_MOST, failures);
        if (!may_change(e) || next >= deadline)
            return e;
        enum status slept = fiber_sleep_until(next);
        if (slept)
            return slept;
    }
}
