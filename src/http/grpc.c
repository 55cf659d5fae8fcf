#include "http/grpc.h"

#include "base/text.h"
#include "http/exchange.h"
#include "run/loop.h"

#include <nghttp2/nghttp2.h>

#define DIGITS_MAX 8
#define NUMBER_END 100000000 /* the first number with more digits */

/* --- which requests are calls */

/* "+proto", "; charset=utf-8" or nothing may follow. */
static bool is_type(struct slice type, struct slice name, struct slice *ret_rest)
{
    if (type.size < name.size || !slice_equal_nocase(slice_head(type, name.size), name))
        return false;
    *ret_rest = slice_from(type, name.size);
    return ret_rest->size == 0 || ret_rest->data[0] == '+' || ret_rest->data[0] == ';' ||
           ret_rest->data[0] == ' ';
}

enum grpc_kind grpc_kind_of_type(struct slice type, struct slice *ret_rest)
{
    if (is_type(type, SLICE("application/grpc"), ret_rest))
        return GRPC_CALL;
    if (is_type(type, SLICE("application/grpc-web"), ret_rest))
        return GRPC_WEB;
    if (is_type(type, SLICE("application/grpc-web-text"), ret_rest))
        return GRPC_WEB_TEXT;
    return GRPC_NONE;
}

enum grpc_kind grpc_kind_of(const struct http_request *request)
{
    struct slice rest;
    if (request->method != METHOD_POST)
        return GRPC_NONE;
    return grpc_kind_of_type(fields_value(&request->fields, FIELD_CONTENT_TYPE), &rest);
}

struct slice grpc_answer_type(enum grpc_kind kind)
{
    if (kind == GRPC_WEB)
        return SLICE("application/grpc-web+proto");
    return kind == GRPC_WEB_TEXT ? SLICE("application/grpc-web-text+proto")
                                 : SLICE("application/grpc");
}

/* --- time */

static const struct unit {
    char letter;
    int64_t nanoseconds;
} units[] = {{'n', 1}, {'u', 1000}, {'m', MILLISECOND}, {'S', SECOND}, {'M', MINUTE}, {'H', HOUR}};

#define UNIT_COUNT (sizeof units / sizeof units[0])

enum status grpc_timeout_parse(struct slice text, int64_t *ret_nanoseconds)
{
    uint64_t number;
    if (text.size < 2 || text.size > DIGITS_MAX + 1 ||
        !slice_to_u64(slice_head(text, text.size - 1), &number))
        return INVALID;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (units[i].letter != text.data[text.size - 1])
            continue;
        bool is_huge = number > (uint64_t)(INT64_MAX / units[i].nanoseconds);
        *ret_nanoseconds = is_huge ? INT64_MAX : (int64_t)number * units[i].nanoseconds;
        return OK;
    }
    return INVALID;
}

struct slice grpc_timeout_format(int64_t nanoseconds, char room[GRPC_TIMEOUT_MAX])
{
    const struct unit *unit = units;
    int64_t left = nanoseconds > 0 ? nanoseconds : 1;
    while (left / unit->nanoseconds >= NUMBER_END && unit < units + UNIT_COUNT - 1)
        unit++;
    int64_t number = left / unit->nanoseconds;
    struct text text = text_fixed(room, GRPC_TIMEOUT_MAX);
    text_add_i64(&text, number < NUMBER_END ? number : NUMBER_END - 1);
    text_add_char(&text, unit->letter);
    return text_slice(&text);
}

int grpc_http_status(struct slice text)
{
    uint64_t status = 0;
    if (!slice_to_u64(text, &status))
        return 200;
    switch (status) {
    case GRPC_OK:
        return 200;
    case GRPC_UNKNOWN:
    case GRPC_INTERNAL:
    case GRPC_DATA_LOSS:
        return 500;
    case GRPC_UNAVAILABLE:
        return 503;
    case GRPC_DEADLINE_EXCEEDED:
        return 504;
    default: /* what the caller did, or asked for */
        return 400;
    }
}

enum status grpc_begin(struct exchange *x)
{
    int64_t timeout;
    x->grpc = grpc_kind_of(&x->request);
    struct slice text = x->grpc ? fields_value(&x->request.fields, FIELD_GRPC_TIMEOUT) : SLICE_NONE;
    if (!text.data)
        return OK;
    if (grpc_timeout_parse(text, &timeout))
        return BAD_FIELD;
    exchange_limit(
        x, timeout ? clock_after(x->facts.started, timeout) : x->facts.started, DEADLINE_PASSED);
    return OK;
}

enum status grpc_forward_timeout(struct exchange *x, instant deadline)
{
    char room[GRPC_TIMEOUT_MAX];
    if (deadline == NEVER)
        return OK;
    struct slice left = arena_copy(&x->arena, grpc_timeout_format(deadline - loop_now(), room));
    return left.data ? fields_set_made(&x->request.fields, FIELD_GRPC_TIMEOUT, left) : NO_MEMORY;
}

/* --- failures */

static enum grpc_status status_of_http(int status)
{
    switch (status) {
    case 400:
    case 422:
        return GRPC_INVALID_ARGUMENT;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404: /* no such method: what a gRPC server says */
    case 405:
    case 415:
    case 501:
    case 505:
        return GRPC_UNIMPLEMENTED;
    case 408:
        return GRPC_DEADLINE_EXCEEDED;
    case 409:
        return GRPC_ABORTED;
    case 412:
        return GRPC_FAILED_PRECONDITION;
    case 413:
    case 414:
    case 429:
    case 431:
        return GRPC_RESOURCE_EXHAUSTED;
    case 499:
        return GRPC_CANCELLED;
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return status >= 500 ? GRPC_INTERNAL : GRPC_UNKNOWN;
    }
}

enum grpc_status grpc_status_of(enum status reason)
{
    switch ((int)reason) {
    case UPSTREAM_TIMEOUT:
    case UPSTREAM_TRY_TIMEOUT:
    case UPSTREAM_TOTAL_TIMEOUT:
    case ROUTE_TIMEOUT:
    case DEADLINE_PASSED:
    case UPSTREAM_BODY_TIMEOUT:
    case UPSTREAM_WRITE_TIMEOUT:
        return GRPC_DEADLINE_EXCEEDED;
    case UPSTREAM_PROTOCOL:
        return GRPC_INTERNAL;
    default:
        return status_of_http(status_http(reason));
    }
}

enum grpc_status grpc_status_of_reset(uint32_t code)
{
    switch (code) {
    case NGHTTP2_REFUSED_STREAM:
        return GRPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return GRPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return GRPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_INTERNAL;
    }
}

/* Percent-encoded where it is not plain ASCII (the protocol's "Status-Message"). */
static struct slice encode(struct arena *arena, struct slice message)
{
    static const char digits[] = "0123456789ABCDEF";
    char *room = arena_bytes(arena, message.size * 3 + 1);
    size_t size = 0;
    if (!room)
        return SLICE_NONE;
    for (size_t i = 0; i < message.size; i++) {
        unsigned char c = (unsigned char)message.data[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            room[size++] = (char)c;
            continue;
        }
        room[size++] = '%';
        room[size++] = digits[c >> 4];
        room[size++] = digits[c & 15];
    }
    return slice_of(room, size);
}

static enum status add_status(struct fields *fields, enum grpc_status status, struct slice message)
{
    struct slice number = arena_format(fields->arena, "%d", (int)status);
    struct slice encoded = encode(fields->arena, message);
    if (!number.data || !encoded.data)
        return NO_MEMORY;
    enum status e = fields_set_made(fields, FIELD_GRPC_STATUS, number);
    return e ? e : fields_set_made(fields, FIELD_GRPC_MESSAGE, encoded);
}

/* Once the time is over that is what counts, whatever it did to the service. */
enum status grpc_add_failure(
    struct exchange *x, struct fields *fields, enum status reason, struct slice detail)
{
    bool is_late = loop_now() >= x->deadline && status_http(reason) > 500;
    bool is_reset = reason == UPSTREAM_RESET || reason == UPSTREAM_INCOMPLETE;
    enum grpc_status status = is_reset && x->grpc_reset ? x->grpc_reset : grpc_status_of(reason);
    if (!detail.size)
        detail = slice_of_text(status_sentence(reason));
    return add_status(fields, is_late ? GRPC_DEADLINE_EXCEEDED : status, detail);
}

struct slice grpc_status_said(const struct exchange *x)
{
    const struct body *body = x->response.body;
    if (x->facts.grpc_status.size)
        return x->facts.grpc_status;
    struct slice status = fields_value(&x->response.fields, FIELD_GRPC_STATUS);
    if (!status.size && body && body->trailers)
        status = fields_value(body->trailers, FIELD_GRPC_STATUS);
    return status;
}

enum grpc_status grpc_outcome(const struct exchange *x)
{
    uint64_t status;
    if (slice_to_u64(grpc_status_said(x), &status))
        return status <= GRPC_UNAUTHENTICATED ? (enum grpc_status)status : GRPC_UNKNOWN;
    if (x->facts.reason == CLIENT_CLOSED)
        return GRPC_CANCELLED;
    if (x->facts.reason)
        return grpc_status_of(x->facts.reason);
    return x->grpc_reset ? x->grpc_reset : GRPC_UNKNOWN;
}

struct slice grpc_status_name(enum grpc_status status)
{
    static const struct slice names[] = {
        [GRPC_OK] = SLICE_INIT("OK"),
        [GRPC_CANCELLED] = SLICE_INIT("CANCELLED"),
        [GRPC_UNKNOWN] = SLICE_INIT("UNKNOWN"),
        [GRPC_INVALID_ARGUMENT] = SLICE_INIT("INVALID_ARGUMENT"),
        [GRPC_DEADLINE_EXCEEDED] = SLICE_INIT("DEADLINE_EXCEEDED"),
        [GRPC_NOT_FOUND] = SLICE_INIT("NOT_FOUND"),
        [GRPC_ALREADY_EXISTS] = SLICE_INIT("ALREADY_EXISTS"),
        [GRPC_PERMISSION_DENIED] = SLICE_INIT("PERMISSION_DENIED"),
        [GRPC_RESOURCE_EXHAUSTED] = SLICE_INIT("RESOURCE_EXHAUSTED"),
        [GRPC_FAILED_PRECONDITION] = SLICE_INIT("FAILED_PRECONDITION"),
        [GRPC_ABORTED] = SLICE_INIT("ABORTED"),
        [GRPC_OUT_OF_RANGE] = SLICE_INIT("OUT_OF_RANGE"),
        [GRPC_UNIMPLEMENTED] = SLICE_INIT("UNIMPLEMENTED"),
        [GRPC_INTERNAL] = SLICE_INIT("INTERNAL"),
        [GRPC_UNAVAILABLE] = SLICE_INIT("UNAVAILABLE"),
        [GRPC_DATA_LOSS] = SLICE_INIT("DATA_LOSS"),
        [GRPC_UNAUTHENTICATED] = SLICE_INIT("UNAUTHENTICATED"),
    };
    return names[status];
}

/* --- gRPC-Web */

#define FRAME_PREFIX  5
#define TRAILER_FRAME ((char)0x80)

static void add_line(struct text *text, struct slice name, struct slice value)
{
    text_add(text, name);
    text_add_literal(text, ": ");
    text_add(text, value);
    text_add_literal(text, "\r\n");
}

static void write_lines(struct text *text, const struct fields *head, const struct fields *trailers)
{
    static const enum field_id ids[] = {FIELD_GRPC_STATUS, FIELD_GRPC_MESSAGE};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (fields_has(head, ids[i]) && fields_find(head, ids[i]))
            add_line(text, field_name(ids[i]), fields_value(head, ids[i]));
    for (uint32_t i = 0; trailers && i < trailers->count; i++)
        if (trailers->items[i].name.size)
            add_line(text, trailers->items[i].name, trailers->items[i].value);
}

enum status grpc_web_trailers(struct arena *arena, struct fields *head,
    const struct fields *trailers, struct slice *ret_frame)
{
    char prefix[FRAME_PREFIX] = {TRAILER_FRAME};
    struct text text = text_growing(0);
    text_add(&text, slice_of(prefix, FRAME_PREFIX));
    write_lines(&text, head, trailers);
    struct slice frame = text.failed ? SLICE_NONE : arena_copy(arena, text_slice(&text));
    text_release(&text);
    if (!frame.data)
        return NO_MEMORY;
    size_t size = frame.size - FRAME_PREFIX;
    for (int i = 4; i > 0; i--, size >>= 8)
        ((char *)frame.data)[i] = (char)size;
    fields_remove_known(head, FIELD_GRPC_STATUS);
    fields_remove_known(head, FIELD_GRPC_MESSAGE);
    *ret_frame = frame;
    return OK;
}
