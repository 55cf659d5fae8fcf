#include "http/h2_client_state.h"

#include <stdlib.h>

#include "run/loop.h"

/* The connection's window is no bound: each request has its own. */
#define CONNECTION_WINDOW ((1 << 24) - 1)
#define GOODBYE_TIME      SECOND /* for the last frames */

static void nothing_changed(void *owner)
{
    (void)owner;
}

static void nothing_told(void *owner, enum h2_news news, uint32_t code)
{
    (void)owner, (void)news, (void)code;
}

/* --- life */

static enum status begin_session(struct h2_client *client)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    enum status e = h2_client_events(&callbacks);
    if (e)
        return e;
    if (nghttp2_option_new(&option)) {
        nghttp2_session_callbacks_del(callbacks);
        return NO_MEMORY;
    }
    nghttp2_option_set_no_auto_window_update(option, 1);
    int failed = nghttp2_session_client_new2(&client->session, callbacks, client, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (failed)
        return NO_MEMORY;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, client->options.window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)client->options.limits->head},
    };
    failed = nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings,
                 sizeof settings / sizeof *settings) ||
             nghttp2_session_set_local_window_size(
                 client->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
    return failed ? NO_MEMORY : OK;
}

static void free_client(struct h2_client *client)
{
    nghttp2_session_del(client->session);
    stream_close(client->stream);
    free(client);
}

static void run_reader(void *argument);
static void look_for_life(struct timer *timer);

enum status h2_client_new(
    struct stream *stream, const struct h2_client_options *options, struct h2_client **ret_client)
{
    struct h2_client *client = calloc(1, sizeof *client);
    if (!client) {
        stream_close(stream);
        return NO_MEMORY;
    }
    client->options = *options;
    client->stream = stream;
    client->heard = loop_now();
    client->ping_due = NEVER;
    if (!options->changed)
        client->options.changed = nothing_changed;
    if (!options->ended)
        client->options.ended = nothing_changed;
    if (!options->told)
        client->options.told = nothing_told;
    list_init(&client->calls);
    scope_init(&client->scope);
    timer_init(&client->ping, look_for_life);
    enum status e = begin_session(client);
    if (!e)
        e = scope_start(loop_scope(loop_current()), run_reader, client);
    if (e) {
        free_client(client);
        return e;
    }
    *ret_client = client;
    return OK;
}

void h2_client_break(struct h2_client *client, enum status reason)
{
    if (!client->reason)
        client->reason = reason;
    client->is_over = client->is_closing = true;
    if (client->reader)
        fiber_cancel(client->reader);
}

/* Nobody needs the connection any more: what is under way leaves, then GOAWAY, then it ends; in any
 * case soon. */
static void say_goodbye(struct h2_client *client)
{
    if (client->is_over)
        return;
    timer_set(&client->ping, clock_after(loop_now(), GOODBYE_TIME));
    h2_client_flush(client);
}

static bool is_useless(const struct h2_client *client)
{
    return client->is_closing && client->call_count == 0;
}

void h2_client_close(struct h2_client *client)
{
    client->is_closing = true;
    if (is_useless(client))
        say_goodbye(client);
}

bool h2_client_is_over(const struct h2_client *client)
{
    return client->is_closing;
}

bool h2_client_is_settled(const struct h2_client *client)
{
    return client->is_settled;
}

bool h2_client_connects(const struct h2_client *client)
{
    return nghttp2_session_get_remote_settings(
               client->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

uint32_t h2_client_load(const struct h2_client *client)
{
    return client->call_count;
}

uint32_t h2_client_room(const struct h2_client *client)
{
    if (client->is_closing || !nghttp2_session_check_request_allowed(client->session))
        return 0;
    uint32_t most = nghttp2_session_get_remote_settings(
        client->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (!client->is_settled)
        most = 1;
    if (most > client->options.requests)
        most = client->options.requests;
    return client->call_count < most ? most - client->call_count : 0;
}

void h2_client_forget(struct h2_client *client, struct h2_call *call)
{
    list_remove(&call->node);
    call->client = NULL;
    client->call_count--;
    h2_client_tell(client, H2_CALL_OVER, 0);
    if (is_useless(client))
        say_goodbye(client);
    if (!client->is_over)
        client->options.changed(client->options.owner);
}

/* --- signs of life */

static void set_ping(struct h2_client *client)
{
    instant next = client->ping_due;
    if (client->options.ping && client->call_count)
        next = clock_sooner(next, clock_after(client->heard, client->options.ping));
    timer_set(&client->ping, next);
}

static void send_ping(struct h2_client *client)
{
    if (client->is_over || nghttp2_submit_ping(client->session, NGHTTP2_FLAG_NONE, NULL))
        return;
    client->ping_due = clock_after(loop_now(), client->options.ping_timeout);
    h2_client_flush(client);
}

static void look_for_life(struct timer *timer)
{
    struct h2_client *client = list_entry(timer, struct h2_client, ping);
    instant now = loop_now();
    if (now >= client->ping_due || is_useless(client)) {
        h2_client_break(client, TIMEOUT);
        return;
    }
    if (client->ping_due == NEVER && client->call_count && client->options.ping &&
        now >= clock_after(client->heard, client->options.ping))
        send_ping(client);
    set_ping(client);
}

void h2_client_probe(struct h2_client *client)
{
    if (client->ping_due != NEVER)
        return;
    send_ping(client);
    set_ping(client);
}

void h2_client_begun(struct h2_client *client)
{
    if (client->call_count == 1 && client->options.ping) {
        client->heard = loop_now();
        if (!timer_is_set(&client->ping))
            set_ping(client);
    }
    h2_client_flush(client);
}

/* --- writing */

void h2_client_flush(struct h2_client *client)
{
    if (client->writer)
        fiber_wake(client->writer);
}

/* The session's frames, as many as the buffer holds. */
static enum status gather(struct h2_client *client)
{
    client->out = buffer_take();
    client->out_size = 0;
    client->out_rest = SLICE_NONE;
    if (!client->out)
        return NO_MEMORY;
    while (client->out->capacity - client->out_size >= H2_DATA_MAX + H2_FRAME_HEAD) {
        const uint8_t *frame;
        ssize_t size = nghttp2_session_mem_send(client->session, &frame);
        if (size < 0)
            return size == NGHTTP2_ERR_NOMEM ? NO_MEMORY : INTERNAL;
        if (size == 0)
            break;
        struct slice bytes = slice_of((const char *)frame, (size_t)size);
        if (bytes.size > client->out->capacity - client->out_size) {
            client->out_rest = bytes;
            break;
        }
        memcpy(client->out->data + client->out_size, bytes.data, bytes.size);
        client->out_size += bytes.size;
    }
    return OK;
}

static enum status write_gathered(struct h2_client *client)
{
    struct iovec parts[] = {{client->out->data, client->out_size},
        {(void *)client->out_rest.data, client->out_rest.size}};
    return stream_writev(client->stream, parts, client->out_rest.size ? 2 : 1, NEVER, NULL);
}

static enum status write_some(struct h2_client *client)
{
    enum status e = gather(client);
    if (!e && client->out_size + client->out_rest.size)
        e = write_gathered(client);
    buffer_give(client->out);
    client->out = NULL;
    return e;
}

static enum status rest(struct h2_client *client)
{
    client->writer = fiber_current();
    enum status e = fiber_wait(NEVER);
    client->writer = NULL;
    return e;
}

static enum status terminate(struct h2_client *client)
{
    client->says_goodbye = true;
    return nghttp2_session_terminate_session(client->session, NGHTTP2_NO_ERROR) ? CLOSED : OK;
}

static void run_writer(void *argument)
{
    struct h2_client *client = argument;
    enum status e = OK;
    while (!e && !client->is_over) {
        if (nghttp2_session_want_write(client->session))
            e = write_some(client);
        else if (is_useless(client) && !client->says_goodbye)
            e = terminate(client);
        else if (nghttp2_session_want_read(client->session))
            e = rest(client);
        else
            e = CLOSED;
    }
    if (!client->is_over)
        h2_client_break(client, e == NO_MEMORY ? e : CLOSED);
}

/* --- reading */

static enum status take_in(struct h2_client *client, const char *data, size_t size)
{
    client->heard = loop_now();
    client->ping_due = NEVER;
    ssize_t taken = nghttp2_session_mem_recv(client->session, (const uint8_t *)data, size);
    if (taken < 0)
        return taken == NGHTTP2_ERR_NOMEM ? NO_MEMORY : UPSTREAM_PROTOCOL;
    h2_client_flush(client);
    return OK;
}

static enum status read_some(struct h2_client *client)
{
    size_t size = 0;
    enum status e = stream_wait_readable(client->stream, NEVER);
    if (e)
        return e;
    struct buffer *buffer = buffer_take();
    if (!buffer)
        return NO_MEMORY;
    e = stream_read(client->stream, buffer->data, buffer->capacity, NEVER, &size);
    if (!e)
        e = take_in(client, buffer->data, size);
    buffer_give(buffer);
    return e;
}

static enum status reason_of(enum status e)
{
    return e == NO_MEMORY || e == UPSTREAM_PROTOCOL ? e : CLOSED;
}

/* What was said in the last moment still reaches the peer, if it listens: most of all, what it did
 * wrong. */
static void end(struct h2_client *client)
{
    timer_cancel(&client->ping);
    client->is_over = client->is_closing = true;
    list_each (node, &client->calls)
        h2_call_fail(list_entry(node, struct h2_call, node), client->reason);
    scope_end(&client->scope);
    client->options.ended(client->options.owner);
    free_client(client);
}

static void run_reader(void *argument)
{
    struct h2_client *client = argument;
    client->reader = fiber_current();
    enum status e = client->is_over ? CANCELLED : scope_start(&client->scope, run_writer, client);
    while (!e && !client->is_over)
        e = read_some(client);
    if (!client->reason)
        client->reason = reason_of(e);
    end(client);
}
