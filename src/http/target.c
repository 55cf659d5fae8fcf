#include "http/target.h"

enum status target_read_place(
    struct arena *arena, struct slice authority, struct target_place *ret_place)
{
    enum status e = uri_parse_authority(arena, authority, &ret_place->host, &ret_place->port);
    if (e == OK && slice_has_suffix(ret_place->host, SLICE(".")))
        ret_place->host.size--;
    return e;
}

static uint16_t port_or(uint16_t port, uint16_t usual)
{
    return port ? port : usual;
}

bool target_is_same_place(
    const struct target_place *a, const struct target_place *b, uint16_t usual_port)
{
    return slice_equal(a->host, b->host) &&
           port_or(a->port, usual_port) == port_or(b->port, usual_port);
}

enum status target_take_path(struct arena *arena, enum encoded_slash slashes,
    struct http_request *request, struct slice path_and_query)
{
    size_t mark = slice_find(path_and_query, '?');
    struct slice path = slice_head(path_and_query, mark);
    if (mark < path_and_query.size)
        request->query = slice_of(path_and_query.data + mark + 1, path_and_query.size - mark - 1);
    if (path.size == 0)
        path = SLICE("/"); /* only "http://host" and "http://host?query" have none */
    return uri_normalise_path(arena, path, slashes, &request->path);
}
