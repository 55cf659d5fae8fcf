#include "http/h2_request.h"

#include "http/scan.h"
#include "http/target.h"

/* --- one field */

/* A name is a token in lower case (§8.2.1). */
static bool is_name(enum field_id id, struct slice name)
{
    if (id != FIELD_OTHER)
        return slice_equal(name, field_name(id));
    if (!field_name_is_valid(name))
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return false;
    return true;
}

/* Those that mean one connection of HTTP/1.1 (§8.2.2). */
static bool is_of_connection(enum field_id id, struct slice value)
{
    switch ((int)id) {
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return true;
    case FIELD_TE:
        return !slice_equal_nocase(value, SLICE("trailers"));
    default:
        return false;
    }
}

static enum status check_field(enum field_id id, struct slice name, struct slice value)
{
    bool is_good = is_name(id, name) && field_value_is_valid(value) && !is_of_connection(id, value);
    return is_good ? OK : BAD_FIELD;
}

static void fail(struct h2_request_head *head, enum status e, bool is_malformed)
{
    if (head->failure)
        return;
    head->failure = e;
    head->is_malformed = is_malformed;
}

/* --- pseudo-headers */

static struct slice *place_of_pseudo(struct h2_request_head *head, struct slice name)
{
    if (slice_equal(name, SLICE(":method")))
        return &head->method;
    if (slice_equal(name, SLICE(":scheme")))
        return &head->scheme;
    if (slice_equal(name, SLICE(":path")))
        return &head->path;
    if (slice_equal(name, SLICE(":authority")))
        return &head->authority;
    return slice_equal(name, SLICE(":protocol")) ? &head->protocol : NULL;
}

static bool is_too_large(struct h2_request_head *head, struct slice name, struct slice value)
{
    size_t size = name.size + value.size;
    if (head->budget.fields == 0 || size > head->budget.bytes)
        return true;
    head->budget.fields--;
    head->budget.bytes -= size;
    return false;
}

static enum status take_pseudo(struct h2_request_head *head, struct slice name, struct slice value)
{
    struct slice *place = place_of_pseudo(head, name);
    if (!place || place->data || head->is_regular || !field_value_is_valid(value))
        return BAD_REQUEST_LINE;
    *place = arena_copy(head->request->fields.arena, value);
    return place->data ? OK : NO_MEMORY;
}

/* --- fields */

/* A client may send cookies one by one so that they compress better; HTTP/1.1 has one field
 * (§8.2.3). What is joined grows by doubling, so that many crumbs cost no more than their bytes. */
static enum status take_crumb(struct h2_request_head *head, struct slice value)
{
    struct text *cookie = &head->cookie;
    size_t size = cookie->size + 2 + value.size;
    if (size > cookie->capacity) {
        size_t room = head->has_cookie ? 2 * size : size;
        char *memory = arena_bytes(head->request->fields.arena, room);
        if (!memory)
            return NO_MEMORY;
        struct text grown = text_fixed(memory, room);
        text_add(&grown, text_slice(cookie));
        *cookie = grown;
    }
    if (head->has_cookie)
        text_add_literal(cookie, "; ");
    text_add(cookie, value);
    head->has_cookie = true;
    return OK;
}

/* The field stays, as with HTTP/1.1; who writes a message says its length from the body. */
static enum status take_length(struct h2_request_head *head, struct slice value)
{
    if (head->has_length || !slice_to_u64(value, &head->length) || head->length > INT64_MAX)
        return BAD_FRAMING;
    head->has_length = true;
    return OK;
}

static enum status take_field(struct h2_request_head *head, struct slice name, struct slice value)
{
    enum field_id id = field_id_of(name);
    struct fields *fields = &head->request->fields;
    enum status e = check_field(id, name, value);
    if (!e && id == FIELD_OTHER && field_name_is_disguise(name))
        e = BAD_FRAMING;
    if (!e && id == FIELD_HOST && fields_has(fields, FIELD_HOST))
        e = BAD_HOST;
    if (!e && id == FIELD_CONTENT_LENGTH)
        e = take_length(head, value);
    if (e)
        return e;
    if (id == FIELD_COOKIE)
        return take_crumb(head, value);
    name = id == FIELD_OTHER ? arena_copy(fields->arena, name) : field_name(id);
    value = arena_copy(fields->arena, value);
    return name.data && value.data ? fields_add_checked(fields, id, name, value) : NO_MEMORY;
}

void h2_request_begin(
    struct h2_request_head *head, struct http_request *request, const struct h1_limits *limits)
{
    *head = (struct h2_request_head){.request = request,
        .limits = limits,
        .budget = {limits->head, limits->fields + 4}}; /* four say what the request line does */
}

void h2_request_field(struct h2_request_head *head, struct slice name, struct slice value)
{
    if (head->failure)
        return;
    bool is_pseudo = name.size && name.data[0] == ':';
    head->is_regular = head->is_regular || !is_pseudo;
    if (is_too_large(head, name, value)) {
        fail(head, FIELDS_TOO_LARGE, false);
        return;
    }
    enum status e = is_pseudo ? take_pseudo(head, name, value) : take_field(head, name, value);
    if (e)
        fail(head, e, e != NO_MEMORY);
}

/* --- what it means */

/* Which pseudo-headers there must be (§8.3.1, §8.5, RFC 8441 §4). */
static bool has_its_pseudo_headers(const struct h2_request_head *head)
{
    if (!field_name_is_valid(head->method))
        return false;
    bool is_connect = slice_equal(head->method, SLICE("CONNECT"));
    if (is_connect && !head->protocol.data)
        return head->authority.size && !head->scheme.data && !head->path.data;
    if (head->protocol.data && (!is_connect || !field_name_is_valid(head->protocol)))
        return false;
    return head->scheme.size && head->path.size;
}

static bool is_web(struct slice scheme)
{
    return slice_equal_nocase(scheme, SLICE("http")) || slice_equal_nocase(scheme, SLICE("https"));
}

/* :authority counts, and a Host that says something else makes the request malformed. */
static enum status take_authority(struct h2_request_head *head)
{
    struct http_request *request = head->request;
    struct fields *fields = &request->fields;
    struct target_place place, named;
    struct slice host = fields_value(fields, FIELD_HOST);
    uint16_t usual = slice_equal_nocase(head->scheme, SLICE("https")) ? PORT_HTTPS : PORT_HTTP;
    request->authority = head->authority.data ? head->authority : host;
    if (!request->authority.size)
        return BAD_HOST;
    enum status e = target_read_place(fields->arena, request->authority, &place);
    if (!e && head->authority.data && host.data) {
        e = target_read_place(fields->arena, host, &named);
        if (!e && !target_is_same_place(&place, &named, usual)) {
            head->is_malformed = true;
            e = BAD_HOST;
        }
    }
    if (e)
        return e;
    if (request->method == METHOD_CONNECT && !head->protocol.data && place.port == 0)
        return BAD_REQUEST_LINE;
    request->host = place.host;
    /* Whoever asks for the field Host finds it, as with HTTP/1.1. */
    return fields_set_made(fields, FIELD_HOST, request->authority);
}

static enum status take_target(struct h2_request_head *head)
{
    struct http_request *request = head->request;
    if (request->method == METHOD_CONNECT && !head->protocol.data) {
        request->target = head->authority;
        return OK;
    }
    if (!is_web(head->scheme))
        return BAD_REQUEST_LINE;
    if (slice_equal(head->path, SLICE("*"))) {
        request->path = head->path;
        return request->method == METHOD_OPTIONS ? OK : BAD_REQUEST_LINE;
    }
    const char *end = head->path.data + head->path.size;
    if (head->path.data[0] != '/' || scan_target(head->path.data, end) != end)
        return BAD_PATH;
    return target_take_path(
        request->fields.arena, head->limits->encoded_slash, request, head->path);
}

static enum status take_cookie(struct h2_request_head *head)
{
    if (!head->has_cookie)
        return OK;
    return fields_add_made(&head->request->fields, FIELD_COOKIE, text_slice(&head->cookie));
}

/* The same as for HTTP/1.1. */
static enum status take_expectation(
    struct h2_request_head *head, bool has_body, struct h2_request_framing *framing)
{
    const struct fields *fields = &head->request->fields;
    if (!fields_has(fields, FIELD_EXPECT))
        return OK;
    framing->expects_continue = has_body;
    struct slice expect = fields_value(fields, FIELD_EXPECT);
    return slice_equal_nocase(expect, SLICE("100-continue")) ? OK : EXPECTATION_FAILED;
}

static enum status take_body(
    struct h2_request_head *head, bool is_end, struct h2_request_framing *framing)
{
    framing->length = is_end ? 0 : BODY_LENGTH_UNKNOWN;
    if (head->has_length)
        framing->length = (int64_t)head->length;
    bool has_body = !is_end && framing->length != 0;
    if (is_end && head->has_length && head->length) { /* a length that lies (§8.1.1) */
        head->is_malformed = true;
        return BAD_FRAMING;
    }
    bool is_tunnel = head->request->method == METHOD_CONNECT;
    if ((has_body && head->request->method == METHOD_TRACE) || (head->has_length && is_tunnel))
        return BAD_FRAMING;
    return take_expectation(head, has_body, framing);
}

/* A stream that is to be a WebSocket has neither length nor end (RFC 8441 §5). Other protocols are
 * not known here: they stay a CONNECT. */
static enum status take_protocol(
    struct h2_request_head *head, bool is_end, struct h2_request_framing *framing)
{
    framing->is_websocket = slice_equal_nocase(head->protocol, SLICE("websocket"));
    return framing->is_websocket && (is_end || head->has_length) ? BAD_HANDSHAKE : OK;
}

enum status h2_request_finish(
    struct h2_request_head *head, bool is_end, struct h2_request_framing *ret_framing)
{
    struct http_request *request = head->request;
    struct h2_request_framing framing = {0};
    request->method_text = head->method;
    request->method = http_method_of(head->method);
    request->version = HTTP_2;
    request->target = head->path;
    request->target_scheme = head->scheme;
    request->authority = request->host = request->path = request->query = SLICE_NONE;
    if (!head->failure && !has_its_pseudo_headers(head))
        fail(head, BAD_REQUEST_LINE, true);
    if (head->failure)
        return head->failure;
    if (head->method.size + head->path.size > head->limits->line)
        return TARGET_TOO_LONG;
    enum status e = take_authority(head);
    if (!e)
        e = take_target(head);
    if (!e)
        e = take_cookie(head);
    if (!e && head->protocol.data)
        e = take_protocol(head, is_end, &framing);
    if (!e && !framing.is_websocket)
        e = take_body(head, is_end, &framing);
    if (!e)
        *ret_framing = framing;
    return e;
}

/* --- trailers */

enum status h2_trailer_field(
    struct fields *trailers, struct h2_budget *budget, struct slice name, struct slice value)
{
    enum status e = check_field(field_id_of(name), name, value);
    return e ? e : h2_field_take(trailers, budget, name, value);
}
