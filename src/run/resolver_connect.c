#include "run/resolver.h"

#include "run/socket.h"

const char *resolver_connect_trouble(enum status e)
{
    return e == REFUSED   ? "connection refused"
           : e == TIMEOUT ? "no connection in time"
                          : "there is no way to it";
}

static enum status connect_first(
    const struct resolved *resolved, instant deadline, struct stream **ret_stream)
{
    enum status e = UNREACHABLE;
    for (size_t i = 0; e && e != CANCELLED && i < resolved->count; i++)
        e = socket_connect(&resolved->addresses[i], NULL, deadline, ret_stream);
    return e;
}

enum status resolver_connect(struct resolver *resolver, struct slice host, uint16_t port,
    struct arena *arena, instant deadline, struct stream **ret_stream, const char **ret_trouble)
{
    struct address address;
    struct resolved resolved = {.addresses = &address, .count = 1};
    enum status e = OK;
    if (address_parse_ip(host, port, &address))
        e = resolver ? resolver_resolve(resolver, host, port, arena, deadline, &resolved)
                     : NOT_FOUND;
    if (e) {
        *ret_trouble = e == NOT_FOUND ? "its name has no address" : "its name cannot be resolved";
        return e;
    }
    e = connect_first(&resolved, deadline, ret_stream);
    if (e)
        *ret_trouble = resolver_connect_trouble(e);
    return e;
}
