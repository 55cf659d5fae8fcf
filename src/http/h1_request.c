/* What the head of a request means: the target's form, the host, the framing (RFC 9112 §3 and §6).
 */
#include "http/h1_parse.h"
#include "http/target.h"

/* The Host field: must be there in HTTP/1.1, must never be empty. */
static enum status take_host(const struct h1_parser *parser, struct arena *arena,
    struct http_request *request, struct target_place *host)
{
    if (!parser->has_host)
        return parser->version == HTTP_1_0 ? OK : BAD_HOST;
    request->authority = fields_value(&request->fields, FIELD_HOST);
    return target_read_place(arena, request->authority, host);
}

/* The target names an authority: it counts, and a Host that says something else is refused, since
 * not everybody obeys RFC 9112 §3.2.2. */
static enum status take_authority(const struct h1_parser *parser, struct arena *arena,
    struct http_request *request, struct slice authority, uint16_t usual_port,
    struct target_place *host)
{
    struct target_place named;
    enum status e = target_read_place(arena, authority, &named);
    if (e)
        return e;
    if (parser->has_host && !target_is_same_place(&named, host, usual_port))
        return BAD_HOST;
    *host = named;
    request->authority = authority;
    return OK;
}

static bool is_scheme(struct slice target, struct slice scheme)
{
    return slice_equal_nocase(slice_head(target, scheme.size), scheme);
}

static enum status take_absolute(const struct h1_parser *parser, struct arena *arena,
    struct http_request *request, struct target_place *host)
{
    bool is_secure = is_scheme(request->target, SLICE("https://"));
    if (!is_secure && !is_scheme(request->target, SLICE("http://")))
        return BAD_REQUEST_LINE;
    request->target_scheme = is_secure ? SLICE("https") : SLICE("http");
    struct slice rest = slice_from(request->target, is_secure ? 8 : 7);
    size_t end = 0;
    while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    enum status e = take_authority(
        parser, arena, request, slice_head(rest, end), is_secure ? PORT_HTTPS : PORT_HTTP, host);
    return e ? e
             : target_take_path(
                   arena, parser->limits->encoded_slash, request, slice_from(rest, end));
}

/* CONNECT host:port, always with a port (RFC 9110 §9.3.6). It has no path. */
static enum status take_connect(const struct h1_parser *parser, struct arena *arena,
    struct http_request *request, struct target_place *host)
{
    enum status e = take_authority(parser, arena, request, request->target, 0, host);
    return e == OK && host->port == 0 ? BAD_REQUEST_LINE : e;
}

static enum status take_target(const struct h1_parser *parser, struct arena *arena,
    struct http_request *request, struct target_place *host)
{
    if (request->method == METHOD_CONNECT)
        return take_connect(parser, arena, request, host);
    if (request->target.data[0] == '/')
        return target_take_path(arena, parser->limits->encoded_slash, request, request->target);
    if (slice_equal(request->target, SLICE("*"))) {
        request->path = request->target;
        return request->method == METHOD_OPTIONS ? OK : BAD_REQUEST_LINE;
    }
    return take_absolute(parser, arena, request, host);
}

bool h1_keeps_alive(const struct fields *fields, enum http_version version)
{
    if (!fields_has(fields, FIELD_CONNECTION))
        return version != HTTP_1_0;
    if (fields_list_has(fields, FIELD_CONNECTION, SLICE("close")))
        return false;
    return version != HTTP_1_0 || fields_list_has(fields, FIELD_CONNECTION, SLICE("keep-alive"));
}

static enum status take_framing(
    const struct h1_parser *parser, struct http_request *request, struct h1_framing *framing)
{
    framing->keep_alive = h1_keeps_alive(&request->fields, parser->version);
    framing->length = parser->length;
    if (parser->is_chunked)
        framing->kind = H1_CHUNKED;
    else if (parser->has_length)
        framing->kind = H1_LENGTH;
    bool has_body = parser->is_chunked || parser->length > 0;
    /* What follows would be a body to some and, say, the tunnel's first bytes to others. */
    if (has_body && (request->method == METHOD_CONNECT || request->method == METHOD_TRACE))
        return BAD_FRAMING;
    if (!fields_has(&request->fields, FIELD_EXPECT))
        return OK;
    if (parser->version == HTTP_1_0) {
        fields_remove_known(&request->fields, FIELD_EXPECT); /* it knows nothing of it */
        return OK;
    }
    struct slice expect = fields_value(&request->fields, FIELD_EXPECT);
    framing->expects_continue = has_body;
    return slice_equal_nocase(expect, SLICE("100-continue")) ? OK : EXPECTATION_FAILED;
}

enum status h1_finish_request(const struct h1_parser *parser, struct arena *arena,
    struct http_request *request, struct h1_framing *ret_framing)
{
    struct target_place host = {0};
    struct h1_framing framing = {0};
    request->method_text = parser->method;
    request->method = http_method_of(parser->method);
    request->version = parser->version;
    request->target = parser->target;
    request->authority = request->host = request->path = request->query = SLICE_NONE;
    request->target_scheme = SLICE_NONE;
    enum status e = take_host(parser, arena, request, &host);
    if (e == OK)
        e = take_target(parser, arena, request, &host);
    if (e == OK)
        e = take_framing(parser, request, &framing);
    if (e)
        return e;
    request->host = host.host;
    *ret_framing = framing;
    return OK;
}
