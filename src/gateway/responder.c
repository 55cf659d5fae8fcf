#include "gateway/responder.h"

#include "http/uri.h"

#define SCHEME SLICE("http://")

/* Nothing that would end the request line and begin another. */
static bool is_printable(struct slice url)
{
    for (size_t i = 0; i < url.size; i++)
        if (url.data[i] <= ' ' || url.data[i] >= 0x7f)
            return false;
    return true;
}

enum status responder_parse(struct arena *arena, struct slice url, struct responder *ret_responder)
{
    struct responder responder = {.port = 80, .path = SLICE("/")};
    if (!slice_has_prefix(url, SCHEME) || !is_printable(url))
        return INVALID;
    struct slice rest = slice_from(url, SCHEME.size);
    size_t slash = slice_find(rest, '/');
    responder.authority = slice_head(rest, slash);
    if (slash < rest.size)
        responder.path = slice_from(rest, slash);
    uint16_t port = 0;
    enum status e = uri_parse_authority(arena, responder.authority, &responder.host, &port);
    if (port)
        responder.port = port;
    if (!e)
        *ret_responder = responder;
    return e && e != NO_MEMORY ? INVALID : e;
}
