#include "l4/relay.h"

#include "run/buffer.h"
#include "run/loop.h"
#include "run/scope.h"
#include "run/splice.h"

/* After so many long pieces in a row a way is spliced; after so many short ones no more. Splicing a
 * short piece costs more than copying it. */
#define LONG_PIECES  2
#define SHORT_PIECES 8

#define FEW_PIECES   2 /* with more, the other way must not wait for their end */
#define REST_AFTER                                                                 \
    (100 * MILLISECOND) /* to begin a fiber for each piece would cost some percent \
                         */
#define RETRY (SECOND)  /* after there was no memory for a fiber */

static struct relay_way *other_of(struct relay_way *way)
{
    struct relay_way *ways = way->relay->ways;
    return way == &ways[RELAY_FORTH] ? &ways[RELAY_BACK] : &ways[RELAY_FORTH];
}

static bool is_forth(const struct relay_way *way)
{
    return way == &way->relay->ways[RELAY_FORTH];
}

static bool is_over(const struct relay *relay)
{
    return relay->outcome || (relay->ways[0].has_ended && relay->ways[1].has_ended);
}

/* --- fibers */

static void run_way(void *argument);

/* Sees to it that a way has a fiber. */
static void start(struct relay_way *way)
{
    struct relay *relay = way->relay;
    if (way->has_fiber)
        return;
    way->has_fiber = !scope_start(loop_scope(loop_current()), run_way, way);
    if (!way->has_fiber)
        timer_set(&relay->timer, loop_now() + RETRY);
}

static void start_unless_ended(struct relay_way *way)
{
    if (!way->has_ended)
        start(way);
}

/* --- resting */

static void unpark(struct relay *relay)
{
    for (int i = 0; relay->is_parked && i < 2; i++)
        stream_unpark(relay->ways[i].from);
    relay->is_parked = false;
}

/* Something has come. */
static void stirred(void *argument)
{
    struct relay_way *way = argument;
    unpark(way->relay);
    start(way);
}

static instant silence_ends(const struct relay *relay)
{
    return relay->idle_timeout ? clock_after(relay->last, relay->idle_timeout) : NEVER;
}

/* The timer may be early: then it is set anew. So a piece costs none of it. */
static void arm(struct relay *relay)
{
    instant due = silence_ends(relay);
    if (due < relay->timer.when)
        timer_set(&relay->timer, due);
}

/* Unless something is under way. */
static void rest(struct relay *relay)
{
    if (relay->ways[0].has_fiber || relay->ways[1].has_fiber)
        return;
    relay->is_parked = true;
    for (int i = 0; i < 2; i++)
        if (!relay->ways[i].has_ended)
            stream_park(relay->ways[i].from, stirred, &relay->ways[i]);
}

/* --- counting */

static void count(struct relay_way *way, size_t size, bool is_spliced)
{
    struct relay *relay = way->relay;
    const struct relay_meter *meter = &relay->meter;
    if (size == 0)
        return;
    way->moved += size;
    relay->last = loop_now();
    if (!meter->shard)
        return;
    metric_add(meter->shard, is_forth(way) ? meter->forth : meter->back, size);
    if (is_spliced)
        metric_add(meter->shard, meter->spliced, size);
}

static void judge(struct relay_way *way, size_t size)
{
    bool is_long = size >= SPLICE_LEAST;
    way->row = is_long == way->splices ? 0 : way->row + 1;
    if (way->row < (way->splices ? SHORT_PIECES : LONG_PIECES) ||
        !splice_is_possible(way->from, way->to))
        return;
    way->splices = is_long;
    way->row = 0;
}

/* --- waiting */

static enum status peer_is_gone(const struct relay_way *way, bool is_source)
{
    return is_forth(way) == is_source ? CLIENT_CLOSED : UPSTREAM_CLOSED;
}

/* What a failure to read or write means. */
static enum status blame(const struct relay_way *way, enum status e, bool is_source)
{
    return e == CANCELLED || e == NO_MEMORY ? e : peer_is_gone(way, is_source);
}

/* While the other way uses the streams they cannot be parked. */
static bool must_stay(struct relay_way *way)
{
    const struct relay_way *other = other_of(way);
    return other->has_fiber && !other->is_waiting;
}

static instant rest_due(const struct relay *relay)
{
    return relay->last + REST_AFTER;
}

/* TIMEOUT: nothing has come for a while. */
static enum status await_bytes(struct relay_way *way)
{
    enum status e = stream_wait_readable(way->from, loop_now());
    if (e != TIMEOUT)
        return e;
    start_unless_ended(other_of(way));
    way->is_waiting = true;
    while (e == TIMEOUT && (must_stay(way) || loop_now() < rest_due(way->relay)))
        e = stream_wait_readable(way->from, must_stay(way) ? NEVER : rest_due(way->relay));
    way->is_waiting = false;
    return e;
}

/* --- copying */

/* Who has to wait leaves the other way to a fiber of its own. */
static enum status write_all(struct relay_way *way, const char *data, size_t size)
{
    size_t done = 0;
    enum status e = stream_write(way->to, data, size, loop_now(), &done);
    count(way, done, false);
    while (e == TIMEOUT) {
        data += done;
        size -= done;
        start_unless_ended(other_of(way));
        e = stream_write(way->to, data, size, NEVER, &done);
        count(way, done, false);
    }
    return e ? blame(way, e, false) : OK;
}

/* No buffer is held while nothing comes. */
static enum status copy_piece(struct relay_way *way)
{
    size_t size = 0;
    struct buffer *buffer = buffer_take();
    if (!buffer)
        return NO_MEMORY;
    enum status e = stream_read(way->from, buffer->data, buffer->capacity, loop_now(), &size);
    if (!e) {
        judge(way, size);
        e = write_all(way, buffer->data, size);
    } else if (e != END && e != TIMEOUT) {
        e = blame(way, e, true);
    }
    buffer_give(buffer);
    return e;
}

/* --- splicing */

static enum status write_splice(struct relay_way *way, struct splice *splice)
{
    size_t done = 0;
    enum status e = splice_write(way->to, splice, loop_now(), &done);
    count(way, done, true);
    while (e == TIMEOUT) {
        start_unless_ended(other_of(way));
        e = splice_write(way->to, splice, NEVER, &done);
        count(way, done, true);
    }
    return e ? blame(way, e, false) : OK;
}

static enum status splice_piece(struct relay_way *way)
{
    struct splice *splice;
    size_t size = 0;
    enum status e = splice_read(way->from, SIZE_MAX, loop_now(), &splice, &size);
    if (e == FULL)
        return copy_piece(way);
    if (e)
        return e == END || e == TIMEOUT ? e : blame(way, e, true);
    judge(way, size);
    e = write_splice(way, splice);
    splice_give(splice);
    fiber_yield(); /* to look again at once would mostly find nothing: others have their turn first
                    */
    return e;
}

/* --- the whole */

/* TIMEOUT: nothing has come. END: nothing will. */
static enum status move_piece(struct relay_way *way)
{
    enum status e = await_bytes(way);
    if (e)
        return e == TIMEOUT || e == END ? e : blame(way, e, true);
    if (way->pieces == FEW_PIECES)
        start_unless_ended(other_of(way));
    if (way->pieces <= FEW_PIECES)
        way->pieces++;
    e = way->splices ? splice_piece(way) : copy_piece(way);
    return e == TIMEOUT ? OK : e; /* it seemed that there was something */
}

/* Passes an end on. When the other way has ended too, both connections are about to be closed. */
static void pass_end(struct relay_way *way)
{
    way->has_ended = true;
    if (!other_of(way)->has_ended)
        (void)stream_shutdown(way->to);
}

/* The last fiber ends it all. */
static void end(struct relay *relay)
{
    timer_cancel(&relay->timer);
    fiber_shield(); /* whoever cut it short, connections are closed in good order */
    relay->ended(relay);
    fiber_unshield();
}

/* A way's fiber has no more to do. */
static void settle(struct relay_way *way)
{
    struct relay *relay = way->relay;
    struct relay_way *other = other_of(way);
    if (!is_over(relay)) {
        if (other->is_waiting)
            fiber_expire(other->fiber); /* both may rest */
        rest(relay);
    } else if (!other->has_fiber) {
        end(relay);
    } else if (other->fiber) {
        fiber_cancel(other->fiber);
    }
}

static void run_way(void *argument)
{
    struct relay_way *way = argument;
    struct relay *relay = way->relay;
    enum status e = OK;
    way->fiber = fiber_current();
    way->pieces = 0;
    while (!e && !is_over(relay) && !way->has_ended)
        e = move_piece(way);
    if (e == END)
        pass_end(way);
    else if (e && e != TIMEOUT && !relay->outcome)
        relay->outcome = e;
    way->fiber = NULL;
    way->has_fiber = false;
    settle(way);
}

/* --- its life */

static void stop(struct relay *relay, enum status outcome)
{
    if (!relay->outcome)
        relay->outcome = outcome;
    unpark(relay);
    for (int i = 0; i < 2; i++)
        if (relay->ways[i].fiber)
            fiber_cancel(relay->ways[i].fiber);
    if (!relay->ways[RELAY_BACK].has_fiber)
        start(&relay->ways[RELAY_FORTH]);
}

/* Also when there was no memory for a fiber. */
static void time_has_come(struct timer *timer)
{
    struct relay *relay = list_entry(timer, struct relay, timer);
    if (is_over(relay) || loop_now() >= silence_ends(relay)) {
        stop(relay, IDLE_TIMEOUT);
        return;
    }
    for (int i = 0; !relay->is_parked && i < 2; i++)
        start_unless_ended(&relay->ways[i]);
    arm(relay);
}

void relay_init(struct relay *relay, struct stream *client, struct stream *upstream,
    int64_t idle_timeout, const struct relay_meter *meter)
{
    *relay = (struct relay){.idle_timeout = idle_timeout, .meter = *meter, .last = loop_now()};
    relay->ways[RELAY_FORTH] = (struct relay_way){.relay = relay, .from = client, .to = upstream};
    relay->ways[RELAY_BACK] = (struct relay_way){.relay = relay, .from = upstream, .to = client};
    timer_init(&relay->timer, time_has_come);
}

void relay_begin(struct relay *relay, void (*ended)(struct relay *relay))
{
    relay->ended = ended;
    arm(relay);
    relay->ways[RELAY_FORTH].has_fiber = true;
    run_way(&relay->ways[RELAY_FORTH]);
}

void relay_cut(struct relay *relay, enum status outcome)
{
    stop(relay, outcome);
}
