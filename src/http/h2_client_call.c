/* One request on a connection: what its exchange asks for. */
#include "http/h2_client_state.h"
#include "run/loop.h"

#define PSEUDO_FIELDS 5
#define END_WAIT      (100 * MILLISECOND) /* for the end of an answer that has no body */

/* --- the request's head */

static struct slice target_of(struct arena *arena, const struct http_request *request)
{
    const struct slice parts[] = {request->path, SLICE("?"), request->query};
    return request->query.data ? arena_join(arena, parts, 3) : request->path;
}

/* HTTP/2 says in other ways that it was understood (RFC 8441 §5). */
static void leave_out_key(struct h2_list *list)
{
    struct slice key = field_name(FIELD_SEC_WEBSOCKET_KEY);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct slice name = slice_of((const char *)list->items[i].name, list->items[i].namelen);
        if (!slice_equal(name, key))
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

static enum status list_head(struct h2_call *call, const struct http_request *request,
    const struct h1_framing *framing, struct h2_list *ret_list)
{
    struct h2_list list;
    enum status e = h2_list_init(&list, call->arena, request->fields.count + PSEUDO_FIELDS + 1);
    struct slice target = e ? SLICE_NONE : target_of(call->arena, request);
    if (!target.data)
        return NO_MEMORY;
    h2_list_add(
        &list, SLICE(":method"), framing->is_upgrade ? SLICE("CONNECT") : request->method_text);
    if (framing->is_upgrade)
        h2_list_add(&list, SLICE(":protocol"), SLICE("websocket"));
    h2_list_add(&list, SLICE(":scheme"), call->client->options.scheme);
    if (request->authority.size)
        h2_list_add(&list, SLICE(":authority"), request->authority);
    h2_list_add(&list, SLICE(":path"), target);
    e = h2_list_add_fields(&list, call->arena, &request->fields);
    if (framing->is_upgrade)
        leave_out_key(&list);
    if (!e && framing->kind == H1_LENGTH) {
        struct slice length =
            arena_format(call->arena, "%llu", (unsigned long long)framing->length);
        if (!length.data)
            return NO_MEMORY;
        h2_list_add(&list, SLICE("content-length"), length);
    }
    if (!e)
        *ret_list = list;
    return e;
}

static enum status submit(
    struct h2_call *call, const struct h2_list *list, const nghttp2_data_provider *provider)
{
    struct h2_client *client = call->client;
    call->id =
        nghttp2_submit_request(client->session, NULL, list->items, list->count, provider, call);
    if (call->id < 0)
        return call->id == NGHTTP2_ERR_NOMEM ? NO_MEMORY : CLOSED;
    list_push_back(&client->calls, &call->node);
    client->call_count++;
    h2_client_tell(client, H2_CALL_BEGUN, 0);
    h2_client_begun(client);
    return OK;
}

enum status h2_call_begin(struct h2_call *call, struct h2_client *client, struct arena *arena,
    const struct http_request *request, const struct h1_framing *framing, bool has_body)
{
    nghttp2_data_provider provider = {.read_callback = h2_call_provide};
    struct h2_list list;
    *call = (struct h2_call){
        .client = client, .arena = arena, .method = request->method, .length = BODY_LENGTH_UNKNOWN};
    list_init(&call->node);
    enum status e = h2_client_room(client) ? OK : CLOSED;
    if (!e)
        e = list_head(call, request, framing, &list);
    if (!e)
        e = submit(call, &list, has_body || framing->is_upgrade ? &provider : NULL);
    if (e) {
        call->client = NULL;
        call->failure = e;
        call->is_unseen = true;
    }
    return e;
}

/* --- the request's body */

static bool has_fields(const struct fields *fields)
{
    for (uint32_t i = 0; fields && i < fields->count; i++)
        if (fields->items[i].name.size)
            return true;
    return false;
}

static enum status submit_trailers(nghttp2_session *session, struct h2_call *call)
{
    struct h2_list list;
    enum status e = h2_list_init(&list, call->arena, call->trailers->count);
    if (!e)
        e = h2_list_add_fields(&list, call->arena, call->trailers);
    if (!e && nghttp2_submit_trailer(session, call->id, list.items, list.count))
        e = NO_MEMORY;
    return e;
}

// NOLINTNEXTLINE(readability-non-const-parameter): nghttp2 says what a callback looks like
ssize_t h2_call_provide(nghttp2_session *session, int32_t id, uint8_t *room, size_t capacity,
    uint32_t *flags, nghttp2_data_source *source, void *argument)
{
    struct h2_call *call = nghttp2_session_get_stream_user_data(session, id);
    (void)source, (void)room, (void)argument;
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (call->out.size == 0 && !call->out_is_last) {
        call->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t size = call->out.size < capacity ? call->out.size : capacity;
    if (size > H2_DATA_MAX)
        size = H2_DATA_MAX;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!call->out_is_last || size < call->out.size)
        return (ssize_t)size;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (has_fields(call->trailers)) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (submit_trailers(session, call))
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)size;
}

void h2_call_offer(
    struct h2_call *call, struct slice part, bool is_last, const struct fields *trailers)
{
    call->out = part;
    call->out_is_last = is_last;
    call->trailers = trailers;
    if (!call->client)
        return;
    if (call->is_deferred)
        (void)nghttp2_session_resume_data(call->client->session, call->id);
    call->is_deferred = false;
    h2_client_flush(call->client);
}

void h2_call_withdraw(struct h2_call *call)
{
    call->out = SLICE_NONE;
    call->out_is_last = false;
}

enum status h2_call_keep(struct h2_call *call)
{
    if (!call->client || call->out.size == 0)
        return OK;
    struct slice copy = arena_copy(call->arena, call->out);
    if (!copy.data)
        return NO_MEMORY;
    call->out = copy;
    return OK;
}

static bool is_taken(const struct h2_call *call)
{
    return call->is_sent || (call->out.size == 0 && !call->out_is_last);
}

enum status h2_call_wait_taken(struct h2_call *call, int64_t idle, instant deadline)
{
    enum status e = OK;
    while (!e && call->client && !call->failure && !is_taken(call)) {
        size_t before = call->out.size;
        call->sender = fiber_current();
        e = fiber_wait(clock_sooner(deadline, clock_after(loop_now(), idle)));
        call->sender = NULL;
        if (e == TIMEOUT && call->out.size < before && loop_now() < deadline)
            e = OK;
    }
    if (!e && !is_taken(call))
        e = CLOSED;
    if (e)
        h2_call_withdraw(call);
    return e;
}

/* --- the answer's head */

void h2_call_note(struct h2_call *call)
{
    if (call->reader)
        fiber_wake(call->reader);
    else if (call->stirred)
        call->stirred(call);
    if (call->failure && call->sender)
        fiber_wake(call->sender);
}

void h2_call_fail(struct h2_call *call, enum status failure)
{
    if (!call->has_ended && !call->failure)
        call->failure = failure;
    if (!call->is_begun)
        call->is_unseen = true;
    h2_client_forget(call->client, call);
    if (call->sender)
        fiber_wake(call->sender);
    h2_call_note(call);
}

static enum status wait_for_news(struct h2_call *call, instant deadline)
{
    call->reader = fiber_current();
    enum status e = fiber_wait(deadline);
    call->reader = NULL;
    return e;
}

/* The end of an answer that has no body may come in a frame of its own. */
static void wait_for_end(struct h2_call *call, instant deadline)
{
    deadline = clock_sooner(deadline, clock_after(loop_now(), END_WAIT));
    while (!call->has_ended && !call->failure && !wait_for_news(call, deadline))
        ;
}

enum status h2_call_read_head(struct h2_call *call, instant deadline,
    struct http_response *response, struct h1_framing *ret_framing)
{
    enum status e = OK;
    while (!e && !(call->heads && call->heads->is_whole)) {
        if (call->failure)
            return call->failure;
        e = wait_for_news(call, deadline);
    }
    if (e)
        return e;
    struct h2_head *head = call->heads;
    call->heads = head->next;
    if (!call->heads)
        call->last_head = NULL;
    struct h1_framing framing = {.kind = H1_UNTIL_CLOSE};
    if (http_response_has_no_body(call->method, head->response.status) || head->ends)
        framing.kind = H1_NO_BODY;
    else if (call->length > 0)
        framing = (struct h1_framing){.kind = H1_LENGTH, .length = (uint64_t)call->length};
    if (framing.kind == H1_NO_BODY && head->response.status >= 200)
        wait_for_end(call, deadline);
    *response = head->response;
    *ret_framing = framing;
    return OK;
}

/* --- the answer's body */

static struct h2_part *add_part(struct h2_call *call)
{
    struct buffer *buffer = buffer_take_small();
    if (!buffer)
        return NULL;
    struct h2_part *part = (struct h2_part *)buffer->data;
    *part = (struct h2_part){.buffer = buffer};
    if (call->last_part)
        call->last_part->next = part;
    else
        call->parts = part;
    call->last_part = part;
    return part;
}

static size_t room_in(const struct h2_call *call, const struct h2_part *part)
{
    if (!part || (call->is_frozen && part == call->parts))
        return 0;
    return part->buffer->capacity - sizeof *part - part->size;
}

enum status h2_call_store(struct h2_call *call, struct slice bytes)
{
    while (bytes.size) {
        struct h2_part *part = call->last_part;
        size_t room = room_in(call, part);
        if (room == 0) {
            part = add_part(call);
            if (!part)
                return NO_MEMORY;
            room = room_in(call, part);
        }
        struct slice fits = slice_head(bytes, room);
        memcpy(part->data + part->size, fits.data, fits.size);
        part->size += fits.size;
        bytes = slice_from(bytes, fits.size);
    }
    return OK;
}

static void give_part(struct h2_part *part)
{
    if (part)
        buffer_give(part->buffer);
}

/* The bytes are in the reader's hands: the peer may send as many more. */
static void open_window(struct h2_call *call, size_t size)
{
    if (!call->client || call->has_ended)
        return;
    (void)nghttp2_session_consume_stream(call->client->session, call->id, size);
    if (nghttp2_session_want_write(call->client->session))
        h2_client_flush(call->client);
}

static struct slice take_part(struct h2_call *call)
{
    struct h2_part *part = call->parts;
    call->parts = part->next;
    if (!call->parts)
        call->last_part = NULL;
    call->current = part;
    call->is_frozen = false;
    open_window(call, part->size);
    return slice_of(part->data, part->size);
}

static struct h2_call *self_of(struct body *body)
{
    return list_entry(body, struct h2_call, body);
}

static void show_trailers(struct h2_call *call)
{
    if (call->trailers_whole)
        call->body.trailers = &call->received_trailers;
}

static enum status read_body(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct h2_call *call = self_of(body);
    give_part(call->current);
    call->current = NULL;
    while (!call->parts) {
        if (call->has_ended) {
            show_trailers(call);
            return END;
        }
        if (call->failure)
            return call->failure == UPSTREAM_RESET ? INCOMPLETE : call->failure;
        enum status e =
            wait_for_news(call, clock_sooner(deadline, clock_after(loop_now(), call->idle)));
        if (e == TIMEOUT)
            call->failure = e;
        else if (e)
            return e;
    }
    *ret_bytes = take_part(call);
    return OK;
}

static struct slice peek_body(struct body *body, bool *ret_last)
{
    struct h2_call *call = self_of(body);
    const struct h2_part *part = call->parts;
    *ret_last = call->has_ended && (!part || !part->next);
    if (*ret_last)
        show_trailers(call);
    if (!part)
        return SLICE_NONE;
    call->is_frozen = true;
    return slice_of(part->data, part->size);
}

static enum status wait_body(struct body *body, instant deadline)
{
    struct h2_call *call = self_of(body);
    enum status e = OK;
    give_part(call->current);
    call->current = NULL;
    while (!e && !call->parts && !call->has_ended && !call->failure)
        e = wait_for_news(call, deadline);
    return e;
}

struct body *h2_call_body(struct h2_call *call, int64_t idle)
{
    static const struct body_ops ops = {.read = read_body, .peek = peek_body, .wait = wait_body};
    call->idle = idle;
    call->body = (struct body){.ops = &ops, .length = call->length};
    return &call->body;
}

/* --- as bytes without end */

bool h2_call_has_news(const struct h2_call *call)
{
    return call->parts || call->has_ended || call->failure;
}

enum status h2_call_wait(struct h2_call *call, instant deadline)
{
    enum status e = OK;
    while (!e && !h2_call_has_news(call))
        e = wait_for_news(call, deadline);
    return e;
}

enum status h2_call_take(struct h2_call *call, void *data, size_t capacity, size_t *ret_size)
{
    struct h2_part *part = call->parts;
    if (!part)
        return call->has_ended ? END : CLOSED;
    struct slice bytes = slice_of(part->data + part->begin, part->size - part->begin);
    bytes = slice_head(bytes, capacity);
    memcpy(data, bytes.data, bytes.size);
    part->begin += bytes.size;
    if (part->begin == part->size) {
        call->parts = part->next;
        if (!call->parts)
            call->last_part = NULL;
        give_part(part);
    }
    open_window(call, bytes.size);
    *ret_size = bytes.size;
    return OK;
}

/* --- the end */

bool h2_call_is_unseen(const struct h2_call *call)
{
    return call->is_unseen;
}

void h2_call_abort(struct h2_call *call, enum status failure)
{
    if (!call->client || call->has_ended || call->failure)
        return;
    call->failure = failure;
    (void)nghttp2_submit_rst_stream(
        call->client->session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
    h2_client_flush(call->client);
    h2_call_note(call);
}

static void give_parts(struct h2_call *call)
{
    struct h2_part *next;
    for (struct h2_part *part = call->parts; part; part = next) {
        next = part->next;
        give_part(part);
    }
    give_part(call->current);
    call->parts = call->last_part = call->current = NULL;
}

void h2_call_end(struct h2_call *call)
{
    struct h2_client *client = call->client;
    if (client) {
        (void)nghttp2_session_set_stream_user_data(client->session, call->id, NULL);
        (void)nghttp2_submit_rst_stream(
            client->session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
        h2_client_forget(client, call);
        h2_client_flush(client);
    }
    give_parts(call);
    h2_call_withdraw(call);
    if (!call->failure)
        call->failure = CANCELLED;
}
