#include "run/loop.h"
#include "run/stream.h"
#include "service/plane.h"
#include "store/redis_state.h"

#include <stdlib.h>

#define UNSENT_MAX ((size_t)4 << 20) /* bytes of commands that have not left */
#define READ_SIZE  ((size_t)16 << 10)
#define TICK       (250 * MILLISECOND) /* how often a connection is looked at */

struct redis_link *redis_link_new(
    struct redis *redis, unsigned worker, const struct redis_place *place)
{
    struct redis_link *link = calloc(1, sizeof *link);
    struct redis_waiting *waiting = calloc(redis->pending, sizeof *waiting);
    if (!link || !waiting) {
        free(link);
        free(waiting);
        return NULL;
    }
    *link = (struct redis_link){.redis = redis,
        .place = place,
        .worker = worker,
        .waiting = waiting,
        .out = text_growing(UNSENT_MAX),
        .sending = text_growing(UNSENT_MAX),
        .in = text_growing(RESP_TEXT_MAX + RESP_LINE_MAX + READ_SIZE)};
    return link;
}

void redis_link_free(struct redis_link *link)
{
    text_release(&link->out);
    text_release(&link->sending);
    text_release(&link->in);
    free(link->waiting);
    free(link);
}

/* --- asking */

static struct redis_waiting *waiting_at(struct redis_link *link, uint64_t number)
{
    return &link->waiting[number % link->redis->pending];
}

static uint64_t count_waiting(const struct redis_link *link)
{
    return link->asked - link->answered;
}

/* The oldest command waits for longer than anybody may. */
static bool is_stalled(struct redis_link *link)
{
    return count_waiting(link) &&
           loop_now() - waiting_at(link, link->answered)->since > link->redis->timeout;
}

bool redis_write(struct redis_link *link, const struct slice *words, size_t count)
{
    size_t before = link->out.size;
    resp_write(&link->out, words, count);
    if (link->out.failed) {
        link->out.size = before;
        link->out.failed = false;
        return false;
    }
    if (link->writer)
        fiber_wake(link->writer);
    return true;
}

/* Appends a command; false when there is no room for it, or none will be answered. */
static bool enqueue(
    struct redis_link *link, const struct slice *words, size_t count, struct redis_call *call)
{
    if (count_waiting(link) >= link->redis->pending || !redis_write(link, words, count))
        return false;
    *waiting_at(link, link->asked++) = (struct redis_waiting){call, loop_now()};
    return true;
}

bool redis_send(
    struct redis_link *link, const struct slice *words, size_t count, struct redis_call *call)
{
    return link->state != REDIS_DOWN && !is_stalled(link) && enqueue(link, words, count, call);
}

enum status redis_ask(struct redis_link *link, const struct slice *words, size_t count,
    struct redis_call *call, instant deadline)
{
    const struct redis *redis = link->redis;
    uint64_t number = link->asked;
    call->fiber = fiber_current();
    call->is_done = false;
    if (!redis_send(link, words, count, call))
        return STORE_UNAVAILABLE;
    instant until = clock_sooner(deadline, loop_now() + redis->timeout);
    while (!call->is_done) {
        enum status e = fiber_wait(until);
        if (e && !call->is_done) { /* the link is there: it has not told us anything yet */
            waiting_at(link, number)->call = NULL;
            return e;
        }
    }
    return call->result;
}

static void finish(struct redis_waiting *waiting, enum status result)
{
    struct redis_call *call = waiting->call;
    if (!call)
        return;
    waiting->call = NULL;
    call->result = result;
    call->is_done = true;
    if (call->fiber)
        fiber_wake(call->fiber);
}

void redis_link_fail(struct redis_link *link)
{
    while (link->answered < link->asked)
        finish(waiting_at(link, link->answered++), CLOSED);
    text_clear(&link->out);
    text_clear(&link->sending);
    text_clear(&link->in);
    link->broken = OK;
}

/* --- writing */

static void write_all(void *argument)
{
    struct redis_link *link = argument;
    for (;;) {
        while (link->out.size == 0) {
            link->writer = fiber_current();
            enum status e = fiber_wait(NEVER);
            link->writer = NULL;
            if (e)
                return;
        }
        struct text full = link->out;
        link->out = link->sending;
        link->sending = full;
        text_clear(&link->out);
        link->broken = stream_write(
            link->stream, full.data, full.size, loop_now() + link->redis->connect_timeout, NULL);
        if (link->broken) {
            fiber_expire(link->keeper);
            return;
        }
    }
}

/* --- reading */

/* What a server says that cannot serve, now or for ever: another one may. */
static bool is_unfit(struct slice error)
{
    static const struct slice words[] = {SLICE_INIT("READONLY "), SLICE_INIT("LOADING "),
        SLICE_INIT("MASTERDOWN "), SLICE_INIT("NOAUTH "), SLICE_INIT("UNBLOCKED ")};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (slice_has_prefix(error, words[i]))
            return true;
    return false;
}

static enum status take_reply(struct redis_link *link, struct slice reply)
{
    const struct stores *stores = link->redis->stores;
    struct slice rest = reply;
    struct resp_token token;
    enum status e = redis_is_ear(link) ? redis_hear(link, reply) : NOT_FOUND;
    if (e != NOT_FOUND)
        return e;
    e = resp_read(&rest, &token);
    if (e || token.kind == RESP_PUSH)
        return e;
    if (count_waiting(link) == 0) {
        redis_complain(link->redis, SLICE("it answered what nobody had asked"));
        return INVALID;
    }
    struct redis_waiting *waiting = waiting_at(link, link->answered++);
    metric_observe(
        stores->plane->options.shards[link->worker], stores->duration, loop_now() - waiting->since);
    if (waiting->call)
        finish(waiting, waiting->call->answer(waiting->call, reply));
    if (token.kind != RESP_ERROR || !is_unfit(token.text))
        return OK;
    redis_complain(link->redis, token.text);
    return CLOSED;
}

/* All replies that are whole. */
static enum status take_replies(struct redis_link *link)
{
    struct slice rest = text_slice(&link->in);
    size_t size;
    enum status e;
    while (!(e = resp_size(rest, &size))) {
        e = take_reply(link, slice_head(rest, size));
        if (e)
            return e;
        rest = slice_of(rest.data + size, rest.size - size);
    }
    if (e != INCOMPLETE) {
        redis_complain(link->redis, SLICE("its answer is none of Redis"));
        return e;
    }
    if (rest.size)
        memmove(link->in.data, rest.data, rest.size);
    link->in.size = rest.size;
    return OK;
}

/* Nothing has come for a while: whether that is as it should be. An idle connection is tried, so
 * that a dead one is known before somebody needs it. */
static enum status look_after(struct redis_link *link)
{
    if (link->broken)
        return link->broken;
    if (count_waiting(link) == 0) {
        (void)enqueue(link, (const struct slice[]){SLICE_INIT("PING")}, 1, NULL);
        return OK;
    }
    if (loop_now() - waiting_at(link, link->answered)->since < link->redis->connect_timeout)
        return OK;
    redis_complain(link->redis, SLICE("it does not answer"));
    return TIMEOUT;
}

static enum status read_some(struct redis_link *link)
{
    size_t size;
    if (!text_reserve(&link->in, READ_SIZE))
        return NO_MEMORY;
    enum status e = stream_read(link->stream, link->in.data + link->in.size,
        link->in.capacity - link->in.size, loop_now() + TICK, &size);
    if (e && e != TIMEOUT && e != CANCELLED)
        redis_complain(link->redis, SLICE("it closed the connection"));
    if (e)
        return e;
    link->in.size += size;
    return take_replies(link);
}

enum status redis_converse(struct redis_link *link)
{
    struct scope io;
    scope_init(&io);
    enum status e = scope_start(&io, write_all, link);
    while (!e) {
        e = read_some(link);
        if (e == TIMEOUT)
            e = look_after(link);
    }
    scope_end(&io);
    return e;
}
