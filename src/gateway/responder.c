#include "gateway/responder.h"

/* Nothing that would end the request line and begin another. */
static bool is_printable(struct slice url)
{
    for (size_t i = 0; i < url.size; i++)
        if (url.data[i] <= ' ' || url.data[i] >= 0x7f)
            return false;
    return true;
}

enum status responder_parse(
    struct arena *arena, struct slice url, struct fetch_place *ret_responder)
{
    struct fetch_place place;
    const char *problem;
    if (!slice_has_prefix(url, SLICE("http://")) || !is_printable(url))
        return INVALID;
    enum status e = fetch_place_parse(arena, url, &place, &problem);
    if (e)
        return e;
    if (!place.path.size)
        place.path = SLICE("/");
    *ret_responder = place;
    return OK;
}
