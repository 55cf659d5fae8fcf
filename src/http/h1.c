#include "http/h1.h"

#include "http/h1_parse.h"

/* How much is read at a time while a head is awaited: enough for almost any, and little of a long
 * body, which may be spliced then. Of a request somewhat more: if its body is here as a whole, it
 * is sent at once, and can be sent again. */
#define RESPONSE_READ ((size_t)8 * 1024)
#define REQUEST_READ  ((size_t)64 * 1024)

/* Reads until the parser has a whole head, then moves it into the arena. */
static enum status read_head(struct wire *connection, struct arena *arena, size_t most,
    instant deadline, struct h1_parser *parser)
{
    for (;;) {
        struct slice bytes = wire_unread(connection);
        size_t size;
        enum status e = bytes.size ? h1_parse(parser, bytes, &size) : INCOMPLETE;
        if (e == OK) {
            struct slice head = arena_copy(arena, slice_head(bytes, size));
            if (!head.data)
                return NO_MEMORY;
            h1_parser_move(parser, head.data);
            wire_consume(connection, size);
            wire_give_if_empty(connection);
            return OK;
        }
        if (e == INCOMPLETE)
            e = wire_read_more(connection, most, deadline);
        if (e)
            return e;
    }
}

/* True when a byte of the message itself is here, and not only the empty line that may come before
 * it. */
static bool has_begun(const struct wire *connection, const struct h1_parser *parser)
{
    bool is_before = parser->phase <= H1_IN_METHOD && parser->at == parser->start;
    return wire_has_bytes(connection) && !is_before;
}

/* Within a head the end of the stream is no good end, and a wait that was too long is the peer's
 * fault. */
static enum status in_head(
    const struct wire *connection, const struct h1_parser *parser, enum status e, enum status late)
{
    if (!has_begun(connection, parser))
        return e;
    if (e == END)
        return CLOSED;
    return e == TIMEOUT ? late : e;
}

enum status h1_read_request(struct wire *connection, struct arena *arena,
    const struct h1_limits *limits, instant deadline, struct http_request *request,
    struct h1_framing *ret_framing)
{
    struct h1_parser parser;
    fields_init(&request->fields, arena);
    h1_parser_init(&parser, H1_REQUEST_HEAD, limits, &request->fields);
    enum status e = read_head(connection, arena, REQUEST_READ, deadline, &parser);
    if (e)
        return in_head(connection, &parser, e, REQUEST_TIMEOUT);
    return h1_finish_request(&parser, arena, request, ret_framing);
}

/* The upstream's faults, whatever they are in particular, have words of their own. */
static enum status upstream_status(enum status e)
{
    if (e == TARGET_TOO_LONG || e == FIELDS_TOO_LARGE)
        return UPSTREAM_HEAD_TOO_LARGE;
    if (e == BAD_REQUEST_LINE || e == BAD_FIELD || e == BAD_FRAMING || e == NOT_IMPLEMENTED ||
        e == VERSION_NOT_SUPPORTED)
        return UPSTREAM_PROTOCOL;
    return e;
}

enum status h1_read_response(struct wire *connection, struct arena *arena,
    const struct h1_limits *limits, enum http_method method, instant deadline,
    struct http_response *response, struct h1_framing *ret_framing)
{
    struct h1_parser parser;
    fields_init(&response->fields, arena);
    h1_parser_init(&parser, H1_RESPONSE_HEAD, limits, &response->fields);
    enum status e = read_head(connection, arena, RESPONSE_READ, deadline, &parser);
    if (e)
        return upstream_status(in_head(connection, &parser, e, TIMEOUT));
    return upstream_status(h1_finish_response(&parser, method, response, ret_framing));
}
