#include "store/server_url.h"

#include "http/uri.h"

/* "user:password@", each percent-encoded. */
static enum status read_credentials(
    struct arena *arena, struct slice text, struct server_url *url, const char **ret_problem)
{
    size_t colon = slice_find(text, ':');
    enum status e = uri_decode(arena, slice_head(text, colon), false, &url->user);
    if (!e)
        e = uri_decode(arena, slice_from(text, colon + 1), false, &url->password);
    if (e == INVALID)
        *ret_problem = "its user or password is not percent-encoded as it should be";
    return e;
}

static size_t find_last(struct slice text, char c)
{
    for (size_t i = text.size; i-- > 0;)
        if (text.data[i] == c)
            return i;
    return text.size;
}

static struct slice take_scheme(
    struct slice text, const struct slice *schemes, struct server_url *url)
{
    for (unsigned i = 0; schemes[i].data; i++)
        if (slice_has_prefix(text, schemes[i])) {
            url->has_scheme = true;
            url->scheme = i;
            return slice_from(text, schemes[i].size);
        }
    return text;
}

enum status server_url_parse(struct arena *arena, struct slice text, const struct slice *schemes,
    struct server_url *ret_url, const char **ret_problem)
{
    struct server_url url = {.server = text};
    struct slice rest = take_scheme(text, schemes, &url);
    enum status e = OK;
    if (url.has_scheme) {
        size_t at = find_last(rest, '@');
        if (at < rest.size) {
            e = read_credentials(arena, slice_head(rest, at), &url, ret_problem);
            rest = slice_from(rest, at + 1);
        }
        size_t slash = slice_find(rest, '/');
        url.server = slice_head(rest, slash);
        url.rest = slice_from(rest, slash + 1);
    }
    if (!e)
        *ret_url = url;
    return e;
}

enum status server_url_hide(struct reader *reader, struct slice text, struct place place)
{
    return slice_find(text, '@') < text.size ? diagnostics_hide(reader->diagnostics, place) : OK;
}

/* An IPv6 address has colons of its own. */
static bool has_port(struct slice text)
{
    struct slice behind = slice_from(text, slice_find(text, ']'));
    return slice_find(behind.size ? behind : text, ':') < (behind.size ? behind : text).size;
}

enum status server_place_read(struct arena *arena, struct slice text,
    const struct server_form *form, struct endpoint_place *ret_place, const char **ret_problem)
{
    const char *problem = "";
    struct slice full = text;
    if (!text.size) {
        *ret_problem = "it has no host";
        return INVALID;
    }
    if (!has_port(text))
        full = arena_join(arena, (const struct slice[]){text, form->port}, 2);
    if (!full.data)
        return NO_MEMORY;
    enum status e = endpoint_place_parse(full, ret_place, &problem);
    if (!e && !ret_place->is_tls && !ret_place->is_clear && !ret_place->is_h2c &&
        !ret_place->source_rest.size)
        return OK;
    *ret_problem = form->problem;
    return e == NO_MEMORY ? e : INVALID;
}
