#include "policy/policy.h"

#include "policy/ip_set.h"

/* Lets clients in or keeps them out by their address: whoever is on `deny` is refused; then, if
 * there is an `allow`, whoever is not on it. The client is the one behind trusted proxies. One who
 * comes by a unix socket has no address, so no list holds him. */

struct ip {
    struct network_list allow, deny;
    bool has_allow; /* also an empty one, which nobody is on */
    bool has_deny;
    const struct ip_set *allowed, *denied;
};

static const struct option options[] = {
    {"allow", OPTION_NETWORKS, offsetof(struct ip, allow),
        .is_set_offset = offsetof(struct ip, has_allow),
        .help = "Networks that are let in; all others are refused."},
    {"deny", OPTION_NETWORKS, offsetof(struct ip, deny),
        .is_set_offset = offsetof(struct ip, has_deny),
        .help = "Networks that are refused, even if `allow` has them."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    const struct ip *ip = value;
    if (ip->has_allow || ip->has_deny)
        return OK;
    return diagnostics_error(reader->diagnostics, node->place,
        SLICE("for example {deny: 10.0.0.0/8}"), "an ip policy needs \"allow\" or \"deny\"");
}

static const struct option_table table = {
    .name = "ip",
    .help = "Lets clients in or keeps them out by their address. `deny` goes before `allow`.",
    .options = options,
    .size = sizeof(struct ip),
    .shorthand = "allow",
    .check = check,
    .example = "ip: {allow: private, deny: 10.66.0.0/16}",
};

static enum status prepare(struct prepare *prepare, void *config)
{
    struct ip *ip = config;
    enum status e = ip_set_build(prepare->reader->arena, &ip->allow, &ip->allowed);
    return e ? e : ip_set_build(prepare->reader->arena, &ip->deny, &ip->denied);
}

static bool is_denied(const struct ip *ip, const struct address *client)
{
    return ip_set_has(ip->denied, client) || (ip->has_allow && !ip_set_has(ip->allowed, client));
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    return is_denied(config, &x->client) ? ADDRESS_DENIED : handler_serve(next, x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct ip *ip = config;
    text_add(text, is_denied(ip, &x->client) ? SLICE("refuses ") : SLICE("lets in "));
    address_format_ip(&x->client, text);
    if (ip_set_has(ip->denied, &x->client))
        text_add_literal(text, ", which is on deny");
    else if (ip->has_allow)
        text_add(text, is_denied(ip, &x->client) ? SLICE(", which is not on allow")
                                                 : SLICE(", which is on allow"));
}

const struct policy_type ip_policy = {
    .name = "ip",
    .plural = "ip",
    .admits = true,
    .options = &table,
    .prepare = prepare,
    .serve = serve,
    .explain = explain,
};
