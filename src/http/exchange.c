#include "http/exchange.h"

#include "base/base64.h"
#include "base/text.h"
#include "run/loop.h"

#include <stdlib.h>

#define PROBLEM_SIZE 1024

void exchange_init_for(struct exchange *x, const struct exchange *from)
{
    memset(x, 0, sizeof *x);
    arena_init(&x->arena, 0, 0);
    scope_init(&x->scope);
    fields_init(&x->request.fields, &x->arena);
    fields_init(&x->response.fields, &x->arena);
    x->deadline = NEVER;
    x->worker = from->worker;
    x->id_number = from->id_number;
    x->pinned = from->pinned;
    x->facts.listener = from->facts.listener;
    x->facts.route = from->facts.route;
    x->facts.started = loop_now();
    address_copy(&x->peer, &from->peer);
    address_copy(&x->client, &from->client);
}

void exchange_release(struct exchange *x)
{
    if (x->response.body)
        body_drop(x->response.body);
    scope_end(&x->scope);
    exchange_run_ends(x);
    arena_release(&x->arena);
}

/* The exchange answers itself: whatever a handler had put there is given up. */
static void set_answer(struct exchange *x, int status, struct slice content_type, struct slice body)
{
    if (x->response.body)
        body_drop(x->response.body);
    x->response.status = status;
    x->response.version = HTTP_1_1;
    x->response.body = body_init_slice(&x->answer, body);
    fields_remove_known(&x->response.fields, FIELD_CONTENT_TYPE);
    if (content_type.size)
        (void)fields_add_known(&x->response.fields, FIELD_CONTENT_TYPE, content_type);
}

enum status exchange_respond(
    struct exchange *x, int status, struct slice content_type, struct slice body)
{
    fields_init(&x->response.fields, &x->arena);
    set_answer(x, status, content_type, body);
    return content_type.size && !fields_has(&x->response.fields, FIELD_CONTENT_TYPE) ? NO_MEMORY
                                                                                     : OK;
}

static void add_member(struct text *text, const char *name, struct slice value)
{
    text_add_literal(text, ",\"");
    text_add(text, slice_of_text(name));
    text_add_literal(text, "\":\"");
    text_add_json(text, value);
    text_add_char(text, '"');
}

/* The problem document in the arena; the fixed one when there is no room. */
static struct slice problem(struct exchange *x, int status, enum status reason, struct slice detail)
{
    static const struct slice fixed =
        SLICE_INIT("{\"type\":\"about:blank\",\"title\":\"The gateway failed\"}");
    char room[PROBLEM_SIZE];
    struct text text = text_fixed(room, sizeof room);
    text_add_literal(&text, "{\"type\":\"about:blank\"");
    add_member(&text, "title", http_reason_phrase(status));
    text_add_literal(&text, ",\"status\":");
    text_add_i64(&text, status);
    add_member(&text, "reason", slice_of_text(status_word(reason)));
    if (x->request_id.size)
        add_member(&text, "request_id", x->request_id);
    struct text without = text;
    add_member(&text, "detail", detail);
    if (text.failed)
        text = without; /* a long detail is left out */
    text_add_literal(&text, "}\n");
    struct slice document = text.failed ? SLICE_NONE : arena_copy(&x->arena, text_slice(&text));
    return document.data ? document : fixed;
}

/* Proxy-Status (RFC 9209): who, and which of the registered errors. */
static void add_proxy_status(struct exchange *x, enum status reason)
{
    const char *error = status_proxy_error(reason);
    if (!*error)
        return;
    struct slice value = arena_format(&x->arena, "weir; error=%s", error);
    if (value.data)
        (void)fields_set_known(&x->response.fields, FIELD_PROXY_STATUS, value);
}

static struct slice in_base64(struct exchange *x, struct slice bytes)
{
    char *room = arena_bytes(&x->arena, base64_encoded_size(bytes.size));
    return room ? slice_of(room, base64_encode(bytes, 0, room)) : SLICE("");
}

/* A call of gRPC is answered with trailers alone, which come as the head; one of gRPC-Web with the
 * frame that stands for them. */
static void answer_call(struct exchange *x, enum status reason, struct slice detail)
{
    struct slice frame = SLICE("");
    struct fields *fields = &x->response.fields;
    enum status e = grpc_add_failure(x, fields, reason, detail);
    x->facts.grpc_status = fields_value(fields, FIELD_GRPC_STATUS);
    if (!e && x->grpc != GRPC_CALL)
        e = grpc_web_trailers(&x->arena, fields, NULL, &frame);
    if (!e && x->grpc == GRPC_WEB_TEXT)
        frame = in_base64(x, frame);
    set_answer(x, 200, grpc_answer_type(x->grpc), frame);
}

void exchange_respond_problem(struct exchange *x, enum status reason, struct slice detail)
{
    int status = status_http(reason);
    if (!status)
        status = status_http(INTERNAL);
    if (!detail.size)
        detail = slice_of_text(status_sentence(reason));
    /* A status says that there was a head, whose fields describe another answer. Without one, the
     * fields are what policies want to be said with the failure. */
    if (x->response.status || !x->response.fields.arena)
        fields_init(&x->response.fields, &x->arena);
    if (x->grpc)
        answer_call(x, reason, detail);
    else
        set_answer(
            x, status, SLICE("application/problem+json"), problem(x, status, reason, detail));
    add_proxy_status(x, reason);
    x->facts.reason = reason;
}

/* --- settling */

static const enum field_id logged_fields[] = {FIELD_USER_AGENT, FIELD_REFERER};
#define LOGGED_FIELDS (sizeof logged_fields / sizeof *logged_fields)

/* The slices that may lie in the arena and are asked for later. */
#define SETTLED 9
static void list_settled(struct exchange *x, struct slice *ret_slices[SETTLED])
{
    struct http_request *request = &x->request;
    struct slice *slices[SETTLED] = {&request->method_text, &request->target, &request->host,
        &request->path, &request->query, &x->request_id, &x->facts.service, &x->facts.endpoint,
        &x->facts.trouble};
    memcpy(ret_slices, slices, sizeof slices);
}

static struct slice carry(char **room, struct slice s)
{
    char *copy = *room;
    if (s.size)
        memcpy(copy, s.data, s.size);
    *room += s.size;
    return slice_of(copy, s.size);
}

static size_t settled_size(const struct exchange *x)
{
    struct exchange *mutable = (struct exchange *)x; /* list_settled changes nothing */
    struct slice *slices[SETTLED];
    size_t size = 0;
    list_settled(mutable, slices);
    for (int i = 0; i < SETTLED; i++)
        size += slices[i]->size;
    for (size_t i = 0; i < LOGGED_FIELDS; i++)
        size += fields_value(&x->request.fields, logged_fields[i]).size;
    return size;
}

static void carry_fields(
    const struct fields *from, struct fields *to, struct field *items, char **room)
{
    to->items = items;
    for (size_t i = 0; i < LOGGED_FIELDS; i++) {
        enum field_id id = logged_fields[i];
        const struct field *field = fields_find(from, id);
        if (!field)
            continue;
        items[to->count++] = (struct field){field_name(id), carry(room, field->value), id};
        to->present[id / 64] |= (uint64_t)1 << id % 64;
    }
    to->capacity = to->count;
}

struct exchange *exchange_settle(const struct exchange *x)
{
    const size_t head = offsetof(struct exchange, parameters);
    size_t items = LOGGED_FIELDS * sizeof(struct field);
    char *memory = malloc(head + items + settled_size(x));
    struct exchange *settled = (struct exchange *)memory;
    if (!memory)
        return NULL;
    char *room = memory + head + items;
    struct slice *slices[SETTLED];
    memcpy(settled, x, head);
    arena_init(&settled->arena, 0, 0);
    scope_init(&settled->scope);
    fields_init(&settled->request.fields, &settled->arena);
    fields_init(&settled->response.fields, &settled->arena);
    settled->request.body = settled->response.body = NULL;
    settled->request.authority = SLICE_NONE;
    settled->tunnel = NULL;
    settled->claims = NULL;
    settled->parameter_count = 0;
    list_settled(settled, slices);
    for (int i = 0; i < SETTLED; i++)
        *slices[i] = carry(&room, *slices[i]);
    carry_fields(
        &x->request.fields, &settled->request.fields, (struct field *)(memory + head), &room);
    return settled;
}
