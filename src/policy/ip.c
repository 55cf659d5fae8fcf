#include "policy/policy.h"

#include "policy/ip_file.h"

/* Lets clients in or keeps them out by their address: whoever is on `deny` is refused; then, if
 * there is an `allow`, whoever is not on it. The client is the one behind trusted proxies. One who
 * comes by a unix socket has no address, so no list holds him. What files list is added to what
 * the configuration does. */

/* What is listed in one place and another. */
struct ip_list {
    struct network_list networks;
    struct option_list paths; /* of struct slice */
    struct place paths_place;
    bool is_set; /* networks were listed, if only none */

    const struct ip_set *set;
    struct watched_file **files; /* as many as paths, shared, counted */
};

struct ip {
    struct ip_list allow, deny;
    unsigned workers;
};

static const struct option path_item = {.name = "file", .kind = OPTION_TEXT};

static const struct option options[] = {
    {"allow", OPTION_NETWORKS, offsetof(struct ip, allow.networks),
        .is_set_offset = offsetof(struct ip, allow.is_set),
        .help = "Networks that are let in; all others are refused."},
    {"deny", OPTION_NETWORKS, offsetof(struct ip, deny.networks),
        .is_set_offset = offsetof(struct ip, deny.is_set),
        .help = "Networks that are refused, even if `allow` has them."},
    {"allow-file", OPTION_LIST, offsetof(struct ip, allow.paths), .item = &path_item,
        .item_size = sizeof(struct slice), .place_offset = offsetof(struct ip, allow.paths_place),
        .help = "A file with networks that are let in, one a line behind which may stand a # and "
                "a comment; or several. It is read again when it changes."},
    {"deny-file", OPTION_LIST, offsetof(struct ip, deny.paths), .item = &path_item,
        .item_size = sizeof(struct slice), .place_offset = offsetof(struct ip, deny.paths_place),
        .help = "The same for networks that are refused."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    const struct ip *ip = value;
    if (ip->allow.is_set || ip->deny.is_set || ip->allow.paths.count || ip->deny.paths.count)
        return OK;
    return diagnostics_error(reader->diagnostics, node->place,
        SLICE("for example {deny: 10.0.0.0/8}"),
        "an ip policy needs \"allow\" or \"deny\", or a file of either");
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

static enum status prepare_list(struct prepare *prepare, struct ip_list *list)
{
    struct arena *arena = prepare->reader->arena;
    const struct slice *paths = list->paths.items;
    list->files = arena_array(arena, list->paths.count + 1, sizeof(struct watched_file *));
    enum status e = list->files ? ip_set_build(arena, &list->networks, &list->set) : NO_MEMORY;
    for (size_t i = 0; !e && i < list->paths.count; i++)
        e = prepare_watched_file(
            prepare, &ip_file_kind, list->paths_place, paths[i], &list->files[i]);
    return e;
}

static enum status prepare(struct prepare *prepare, void *config)
{
    struct ip *ip = config;
    ip->workers = prepare->workers;
    enum status e = prepare_list(prepare, &ip->allow);
    return e ? e : prepare_list(prepare, &ip->deny);
}

static bool has(const struct ip_list *list, unsigned worker, const struct address *client)
{
    bool is_on_it = ip_set_has(list->set, client);
    for (size_t i = 0; !is_on_it && i < list->paths.count; i++)
        is_on_it = ip_file_has(list->files[i], worker, client);
    return is_on_it;
}

enum verdict { LET_IN, ON_DENY, ON_ALLOW, NOT_ON_ALLOW };

/* A rehearsal runs on the control thread. */
static enum verdict judge(const struct ip *ip, const struct exchange *x)
{
    unsigned worker = x->is_rehearsal ? ip->workers : x->worker;
    bool has_allow = ip->allow.is_set || ip->allow.paths.count;
    if (has(&ip->deny, worker, &x->client))
        return ON_DENY;
    if (!has_allow)
        return LET_IN;
    return has(&ip->allow, worker, &x->client) ? ON_ALLOW : NOT_ON_ALLOW;
}

static bool is_refused(enum verdict verdict)
{
    return verdict == ON_DENY || verdict == NOT_ON_ALLOW;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    return is_refused(judge(config, x)) ? ADDRESS_DENIED : handler_serve(next, x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    static const char *const why[] = {[LET_IN] = "",
        [ON_DENY] = ", which is on deny",
        [ON_ALLOW] = ", which is on allow",
        [NOT_ON_ALLOW] = ", which is not on allow"};
    enum verdict verdict = judge(config, x);
    text_add(text, is_refused(verdict) ? SLICE("refuses ") : SLICE("lets in "));
    address_format_ip(&x->client, text);
    text_add(text, slice_of_text(why[verdict]));
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
