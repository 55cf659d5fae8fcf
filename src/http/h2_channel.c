#include "http/h2_channel.h"

#include <stdlib.h>

#include "run/buffer.h"
#include "run/loop.h"

#define LAST_WORDS SECOND /* for the ends of both sides */

static struct h2_channel *self_of(struct stream *stream)
{
    return (struct h2_channel *)stream;
}

/* --- from the peer */

static enum status wait_readable(struct stream *stream, instant deadline)
{
    return h2_call_wait(&self_of(stream)->call, deadline);
}

static enum status read_bytes(
    struct stream *stream, void *data, size_t capacity, instant deadline, size_t *ret_size)
{
    enum status e = wait_readable(stream, deadline);
    return e ? e : h2_call_take(&self_of(stream)->call, data, capacity, ret_size);
}

static bool is_quiet(struct stream *stream)
{
    return !h2_call_has_news(&self_of(stream)->call);
}

/* --- to the peer */

static bool can_send(const struct h2_channel *self)
{
    return self->call.client && !self->call.failure && !self->call.out_is_last;
}

static void give_if_sent(struct h2_channel *self)
{
    if (self->call.out.size)
        return;
    buffer_give(self->out);
    self->out = NULL;
}

static enum status wait_until_sent(struct h2_channel *self, instant deadline)
{
    struct h2_call *call = &self->call;
    enum status e = OK;
    while (!e && call->client && !call->failure && call->out.size) {
        call->sender = fiber_current();
        e = fiber_wait(deadline);
        call->sender = NULL;
    }
    give_if_sent(self);
    return e ? e : call->out.size ? CLOSED : OK;
}

/* As much as there is room for, once what was written before has left. */
static enum status write_some(
    struct h2_channel *self, struct slice bytes, instant deadline, size_t *ret_size)
{
    enum status e = can_send(self) ? wait_until_sent(self, deadline) : CLOSED;
    if (!e && !can_send(self))
        e = CLOSED;
    if (e)
        return e;
    self->out = buffer_take_small();
    if (!self->out)
        return NO_MEMORY;
    bytes = slice_head(bytes, self->out->capacity);
    memcpy(self->out->data, bytes.data, bytes.size);
    h2_call_offer(&self->call, slice_of(self->out->data, bytes.size), false, NULL);
    *ret_size = bytes.size;
    return OK;
}

static enum status write_parts(
    struct stream *stream, const struct iovec *parts, int count, instant deadline, size_t *ret_size)
{
    size_t total = 0;
    enum status e = OK;
    for (int i = 0; !e && i < count; i++) {
        struct slice rest = slice_of(parts[i].iov_base, parts[i].iov_len);
        while (!e && rest.size) {
            size_t size = 0;
            e = write_some(self_of(stream), rest, deadline, &size);
            rest = slice_from(rest, size);
            total += size;
        }
    }
    if (ret_size)
        *ret_size = total;
    return e;
}

static enum status end_sending(struct stream *stream)
{
    struct h2_call *call = &self_of(stream)->call;
    if (call->out_is_last)
        return OK;
    if (!can_send(self_of(stream)))
        return CLOSED;
    h2_call_offer(call, call->out, true, NULL);
    return OK;
}

/* --- parked */

static void stirred(struct h2_call *call)
{
    if (h2_call_has_news(call))
        parking_stir(&h2_channel_of(call)->parking);
}

static void park(struct stream *stream, stream_callback *call, void *argument)
{
    struct h2_channel *self = self_of(stream);
    parking_begin(&self->parking, call, argument);
    give_if_sent(self);
    stirred(&self->call);
}

static void unpark(struct stream *stream)
{
    parking_end(&self_of(stream)->parking);
}

/* --- the whole */

static const struct stream_ops ops = {.wait_readable = wait_readable,
    .read = read_bytes,
    .writev = write_parts,
    .shutdown = end_sending,
    .is_quiet = is_quiet,
    .park = park,
    .unpark = unpark,
    .close = unpark};

struct h2_channel *h2_channel_of(struct h2_call *call)
{
    return list_entry(call, struct h2_channel, call);
}

static void free_kept(void *argument)
{
    struct h2_channel **keeper = argument;
    if (*keeper)
        h2_channel_free(*keeper);
}

enum status h2_channel_new(struct arena *arena, struct h2_channel **ret_channel)
{
    struct h2_channel **keeper = arena_new(arena, struct h2_channel *);
    struct h2_channel *channel = keeper ? calloc(1, sizeof *channel) : NULL;
    if (!channel || !arena_defer(arena, free_kept, keeper)) {
        free(channel);
        return NO_MEMORY;
    }
    channel->stream.ops = &ops;
    channel->keeper = keeper;
    arena_init(&channel->arena, 0, 0);
    wire_init(&channel->wire, &channel->stream);
    parking_init(&channel->parking);
    *keeper = channel;
    *ret_channel = channel;
    return OK;
}

void h2_channel_take(struct h2_channel *channel)
{
    *channel->keeper = NULL;
    channel->keeper = NULL;
    channel->call.stirred = stirred;
}

void h2_channel_end(struct h2_channel *channel)
{
    struct h2_call *call = &channel->call;
    enum status e = end_sending(&channel->stream);
    instant until = loop_now() + LAST_WORDS;
    while (!e && call->client && !call->failure) {
        call->sender = call->reader = fiber_current();
        e = fiber_wait(until);
        call->sender = call->reader = NULL;
    }
    h2_channel_free(channel);
}

void h2_channel_free(struct h2_channel *channel)
{
    h2_call_end(&channel->call);
    wire_release(&channel->wire);
    buffer_give(channel->out);
    arena_release(&channel->arena);
    free(channel);
}
