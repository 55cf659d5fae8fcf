#include "l4/relay.h"

#include "run/buffer.h"
#include "run/loop.h"
#include "run/scope.h"
#include "run/splice.h"

/* After so many long pieces in a row a way is spliced; after so many short ones no more. Splicing a
 * short piece costs more than copying it. */
#define LONG_PIECES  2
#define SHORT_PIECES 8

/* One way. */
struct way {
    struct relay *relay;
    struct stream *from, *to;
    uint64_t *moved;    /* the relay's count */
    uint32_t series;    /* for the same */
    enum status source; /* what to call it when `from` breaks */
    enum status sink;   /* and `to` */
    bool may_splice;
    bool splices; /* by what came lately */
    unsigned row; /* pieces in a row that speak against `splices` */
    bool has_end; /* the end of `from` was passed on */
};

static bool is_silent(const struct relay *relay)
{
    return relay->idle_timeout && loop_now() - relay->last >= relay->idle_timeout;
}

static instant patience(const struct relay *relay)
{
    return clock_after(relay->last, relay->idle_timeout);
}

static enum status wait_for_bytes(const struct way *way)
{
    enum status e;
    do
        e = stream_wait_readable(way->from, patience(way->relay));
    while (e == TIMEOUT && !is_silent(way->relay));
    return e;
}

static void count(const struct way *way, size_t size)
{
    struct relay *relay = way->relay;
    if (size == 0)
        return;
    *way->moved += size;
    relay->last = loop_now();
    if (relay->meter.shard)
        metric_add(relay->meter.shard, way->series, size);
}

static void judge(struct way *way, size_t size)
{
    bool is_long = size >= SPLICE_LEAST;
    way->row = is_long == way->splices ? 0 : way->row + 1;
    if (!way->may_splice || way->row < (way->splices ? SHORT_PIECES : LONG_PIECES))
        return;
    way->splices = is_long;
    way->row = 0;
}

/* What a failure to read or write means. */
static enum status blame(enum status e, enum status broken)
{
    if (e == TIMEOUT)
        return IDLE_TIMEOUT;
    return e == CANCELLED || e == NO_MEMORY ? e : broken;
}

/* --- copying */

static enum status write_all(struct way *way, const char *data, size_t size)
{
    enum status e;
    do {
        size_t done = 0;
        e = stream_write(way->to, data, size, patience(way->relay), &done);
        count(way, done);
        data += done;
        size -= done;
    } while (e == TIMEOUT && !is_silent(way->relay));
    return e ? blame(e, way->sink) : OK;
}

static enum status read_piece(struct way *way, struct buffer *buffer, size_t *ret_size)
{
    enum status e;
    do
        e = stream_read(way->from, buffer->data, buffer->capacity, patience(way->relay), ret_size);
    while (e == TIMEOUT && !is_silent(way->relay));
    return e && e != END ? blame(e, way->source) : e;
}

/* No buffer is held while nothing comes. */
static enum status copy_piece(struct way *way)
{
    size_t size = 0;
    enum status e = wait_for_bytes(way);
    if (e)
        return blame(e, way->source);
    struct buffer *buffer = buffer_take();
    if (!buffer)
        return NO_MEMORY;
    e = read_piece(way, buffer, &size);
    if (!e) {
        judge(way, size);
        e = write_all(way, buffer->data, size);
    }
    buffer_give(buffer);
    return e;
}

/* --- splicing */

static enum status write_splice(struct way *way, struct splice *splice)
{
    enum status e;
    do {
        size_t done = 0;
        e = splice_write(way->to, splice, patience(way->relay), &done);
        count(way, done);
    } while (e == TIMEOUT && !is_silent(way->relay));
    return e ? blame(e, way->sink) : OK;
}

static enum status splice_piece(struct way *way)
{
    struct splice *splice;
    size_t size = 0;
    enum status e;
    do
        e = splice_read(way->from, SIZE_MAX, patience(way->relay), &splice, &size);
    while (e == TIMEOUT && !is_silent(way->relay));
    if (e == FULL)
        return copy_piece(way);
    if (e)
        return e == END ? e : blame(e, way->source);
    judge(way, size);
    e = write_splice(way, splice);
    splice_give(splice);
    fiber_yield(); /* to look again at once would mostly find nothing: others have their turn first
                    */
    return e;
}

/* --- the whole */

/* Passes an end on. When the other way has ended too, both connections are about to be closed. */
static void pass_end(struct way *way, const struct way *other)
{
    way->has_end = true;
    if (!other->has_end)
        (void)stream_shutdown(way->to);
}

static void run_way(struct way *way, const struct way *other)
{
    struct relay *relay = way->relay;
    enum status e = OK;
    while (!e)
        e = way->splices ? splice_piece(way) : copy_piece(way);
    if (e == END)
        pass_end(way, other);
    else if (!relay->outcome)
        relay->outcome = e;
}

struct both {
    struct way forth, back;
};

static void run_back(void *argument)
{
    struct both *both = argument;
    struct relay *relay = both->back.relay;
    run_way(&both->back, &both->forth);
    if (relay->outcome)
        fiber_cancel(relay->fiber);
}

static void prepare(struct both *both, struct relay *relay)
{
    bool can = splice_is_possible(relay->client, relay->upstream);
    both->forth = (struct way){.relay = relay,
        .from = relay->client,
        .to = relay->upstream,
        .moved = &relay->forth,
        .series = relay->meter.forth,
        .source = CLIENT_CLOSED,
        .sink = UPSTREAM_CLOSED,
        .may_splice = can};
    can = splice_is_possible(relay->upstream, relay->client);
    both->back = (struct way){.relay = relay,
        .from = relay->upstream,
        .to = relay->client,
        .moved = &relay->back,
        .series = relay->meter.back,
        .source = UPSTREAM_CLOSED,
        .sink = CLIENT_CLOSED,
        .may_splice = can};
}

enum status relay_run(struct relay *relay)
{
    struct both both;
    struct scope scope;
    relay->fiber = fiber_current();
    relay->last = loop_now();
    prepare(&both, relay);
    scope_init(&scope);
    enum status e = scope_start(&scope, run_back, &both);
    if (e)
        return e;
    run_way(&both.forth, &both.back);
    if (!relay->outcome)
        (void)scope_wait(&scope, NEVER);
    scope_end(&scope);
    return relay->outcome;
}
