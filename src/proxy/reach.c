#include "proxy/reach.h"

#include <unistd.h>

#include "proxy/special.h"
#include "run/loop.h"
#include "run/resolver.h"
#include "service/connect.h"
#include "service/service.h"

#define ADDRESSES_MAX 16 /* of a name that are tried */

/* --- may it be? */

/* True for an address of this machine: only such can be bound to. */
static bool is_here(const struct address *address)
{
    struct address any_port = *address;
    address_set_port(&any_port, 0);
    int descriptor = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return true; /* not known: better not */
    bool is_bound = bind(descriptor, &any_port.any, any_port.size) == 0;
    close(descriptor);
    return is_bound;
}

static bool is_same_ip(const struct address *a, const struct address *b)
{
    unsigned char one[16], other[16];
    address_ip_bytes(a, one);
    address_ip_bytes(b, other);
    return memcmp(one, other, sizeof one) == 0;
}

/* "::", which takes IPv4 too, or "0.0.0.0". */
static bool is_any_ip(const struct address *address)
{
    if (address->any.sa_family == AF_INET)
        return address->v4.sin_addr.s_addr == INADDR_ANY;
    return IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

static bool is_own(const struct proxy_own *own, const struct address *address)
{
    for (size_t i = 0; i < own->count; i++) {
        const struct address *listener = &own->addresses[i];
        if (address_port(listener) == address_port(address) &&
            (is_same_ip(listener, address) || (is_any_ip(listener) && is_here(address))))
            return true;
    }
    return false;
}

static enum status judge(const struct proxy *proxy, const struct proxy_target *target,
    enum proxy_leave leave, const struct address *address)
{
    const struct option_list *to = &proxy->options->to;
    bool is_named = leave == PROXY_BY_NAME;
    bool is_open = is_named && address_is_public(address);
    if (!is_open && !proxy_targets_have(to, target, address))
        return is_named ? TARGET_ADDRESS_DENIED : TARGET_DENIED;
    bool is_loop = is_own(proxy->own, address) && !proxy_targets_mean(to, address);
    return is_loop ? TARGET_ADDRESS_DENIED : OK;
}

/* --- resolving */

static enum status status_of_name(enum status e)
{
    if (e == TIMEOUT)
        return UPSTREAM_DNS_TIMEOUT;
    return e == NOT_FOUND || e == IO_ERROR ? UPSTREAM_DNS : e;
}

static enum status resolve(const struct proxy *proxy, struct exchange *x,
    const struct proxy_target *target, instant deadline, struct resolved *ret_resolved)
{
    struct address *literal = arena_new(&x->arena, struct address);
    if (!literal)
        return NO_MEMORY;
    if (!address_parse_ip(target->host, target->port, literal)) {
        *ret_resolved = (struct resolved){.addresses = literal, .count = 1};
        return OK;
    }
    struct resolver *resolver = service_plane_worker_resolver(proxy->plane, x->worker);
    if (!resolver)
        return NO_MEMORY;
    return status_of_name(
        resolver_resolve(resolver, target->host, target->port, &x->arena, deadline, ret_resolved));
}

/* --- connecting */

static enum status note_address(struct exchange *x, const struct address *address)
{
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    address_format(address, &text);
    x->facts.endpoint = arena_copy(&x->arena, text_slice(&text));
    x->facts.tries++;
    return x->facts.endpoint.data ? OK : NO_MEMORY;
}

/* One address after the other; each has its part of the time that is left. */
static enum status connect_in_turn(struct exchange *x, const struct address *addresses,
    size_t count, instant deadline, struct stream **ret_stream)
{
    enum status e = OK;
    const char *ignored;
    for (size_t i = 0; i < count; i++) {
        int64_t left = deadline - loop_now();
        instant until = loop_now() + left / (int64_t)(count - i);
        e = note_address(x, &addresses[i]);
        if (!e)
            e = connect_address(&addresses[i], NULL, SLICE_NONE, SLICE_NONE, NULL,
                (struct connect_time){until, 0}, ret_stream, &ignored);
        if (!e || !connect_is_failure(e))
            return e;
    }
    return e;
}

/* Those of the addresses that may be connected to, put first; or why none may. */
static enum status choose(const struct proxy *proxy, const struct proxy_target *target,
    enum proxy_leave leave, struct resolved *resolved)
{
    enum status refusal = TARGET_DENIED;
    size_t count = 0;
    for (size_t i = 0; i < resolved->count && count < ADDRESSES_MAX; i++) {
        enum status e = judge(proxy, target, leave, &resolved->addresses[i]);
        if (e)
            refusal = e;
        else
            resolved->addresses[count++] = resolved->addresses[i];
    }
    resolved->count = count;
    return count ? OK : refusal;
}

static enum status reach(const struct proxy *proxy, struct exchange *x,
    const struct proxy_target *target, instant deadline, struct stream **ret_stream)
{
    struct resolved resolved = {0};
    enum proxy_leave leave = proxy_targets_look(&proxy->options->to, target);
    if (leave == PROXY_NEVER)
        return TARGET_DENIED;
    enum status e = resolve(proxy, x, target, deadline, &resolved);
    if (!e)
        e = choose(proxy, target, leave, &resolved);
    if (e)
        return e;
    return connect_in_turn(x, resolved.addresses, resolved.count, deadline, ret_stream);
}

enum status proxy_reach(const struct proxy *proxy, struct exchange *x,
    const struct proxy_target *target, struct stream **ret_stream)
{
    instant began = loop_now();
    instant deadline =
        clock_sooner(x->deadline, clock_after(began, proxy->options->connect_timeout));
    enum status e = reach(proxy, x, target, deadline, ret_stream);
    x->facts.upstream_time += loop_now() > began ? loop_now() - began : 1;
    return e;
}
