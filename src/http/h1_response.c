/* What the head of a response means (RFC 9112 §6.3). */
#include "http/h1_parse.h"

enum status h1_finish_response(const struct h1_parser *parser, enum http_method method,
    struct http_response *response, struct h1_framing *ret_framing)
{
    struct h1_framing framing = {
        .length = parser->length, .keep_alive = h1_keeps_alive(&response->fields, parser->version)};
    bool is_bare = parser->status < 200 || parser->status == 204;
    /* These never have a body; an announced one would be read by some. */
    if (is_bare && (parser->is_chunked || parser->length > 0))
        return BAD_FRAMING;
    if (http_response_has_no_body(method, parser->status))
        framing.kind = H1_NO_BODY;
    else if (parser->is_chunked)
        framing.kind = H1_CHUNKED;
    else if (parser->has_length)
        framing.kind = H1_LENGTH;
    else
        framing = (struct h1_framing){.kind = H1_UNTIL_CLOSE};
    response->status = parser->status;
    response->version = parser->version;
    *ret_framing = framing;
    return OK;
}
