#include "service/dns_source.h"

#include "run/loop.h"

#define TTL_MOST HOUR

enum status dns_source_check(
    struct reader *reader, struct place place, const struct dns_source_options *options)
{
    struct slice rest = options->resolver, one;
    struct address address;
    while (slice_split(&rest, ',', &one))
        if (address_parse(one, &address) && address_parse_ip(one, 53, &address))
            return diagnostics_error(reader->diagnostics, place,
                SLICE("resolver: \"127.0.0.1:8600,10.0.0.2\""),
                "\"%.*s\" is not the address of a DNS server", SLICE_ARG(slice_head(one, 100)));
    return OK;
}

enum status dns_source_enter(const struct finder *finder, const struct dns_source_options *options,
    struct resolver **ret_resolver)
{
    struct resolver *resolver;
    if (!options->resolver.size) {
        *ret_resolver = plane_resolver(finder_plane(finder));
        return *ret_resolver ? OK : IO_ERROR;
    }
    enum status e = resolver_new(&resolver);
    if (e)
        return e;
    e = resolver_use_servers(resolver, options->resolver);
    if (e)
        resolver_free(resolver);
    else
        *ret_resolver = resolver;
    return e;
}

void dns_source_leave(const struct dns_source_options *options, struct resolver *resolver)
{
    if (options->resolver.size)
        resolver_free(resolver);
}

instant dns_source_next(int64_t ttl)
{
    ttl = ttl < RESOLVED_TTL_LEAST ? RESOLVED_TTL_LEAST : ttl < TTL_MOST ? ttl : TTL_MOST;
    return loop_now() + ttl;
}

enum status dns_source_failed(struct finder *finder, enum status e)
{
    if (e == CANCELLED)
        return e;
    finder_complain(finder, "%s",
        e == NOT_FOUND ? "the name does not exist"
        : e == TIMEOUT ? "no answer in time"
        : e == INVALID ? "the answer is malformed"
                       : "no DNS server answers");
    return e == TIMEOUT ? UPSTREAM_DNS_TIMEOUT : UPSTREAM_DNS;
}
