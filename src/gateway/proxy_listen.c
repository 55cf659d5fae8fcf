#include "gateway/proxy_listen.h"

#include "gateway/chain.h"
#include "gateway/listener.h"
#include "http/request_id.h"

#define PROXY(member) offsetof(struct proxy_listen_options, member)

static const struct option rows[] = {
    {"to", OPTION_LIST, PROXY(proxy.to), .item = &proxy_target_option,
        .item_size = sizeof(struct proxy_pattern), .is_required = true,
        .help = "Where clients may be taken: names, *.names, networks (also `private` and "
                "`loopback`) or *, each with a port, several (:8000-8999) or any (:*). Without, "
                "CONNECT may go to 443, and requests to 80 and 443. A name leads to public "
                "addresses only; others must be in a network of the list."},
    {"use", OPTION_LIST, PROXY(use), .item = &policy_reference_option,
        .item_size = sizeof(struct policy_reference), .is_set_offset = PROXY(has_use),
        .help = "Named policies that say who may use it, of `ip`, `limits` and `body-limits`, "
                "instead of those in the file's `use`."},
    {"connect-timeout", OPTION_DURATION, PROXY(proxy.connect_timeout), .fallback = "10s",
        .minimum = MILLISECOND, .maximum = HOUR,
        .help = "For resolving a target's name and connecting, all its addresses together."},
    {"idle-timeout", OPTION_DURATION, PROXY(proxy.idle_timeout), .fallback = "10m", .minimum = 0,
        .maximum = 30 * DAY,
        .help = "The longest silence: in both directions of a tunnel, or of a target that is to "
                "answer; 0s is any."},
    {"connections-max", OPTION_INTEGER, PROXY(proxy.connections_max), .fallback = "10000",
        .minimum = 0, .maximum = INT64_MAX,
        .help = "How many tunnels and requests of this listener a worker has under way; further "
                "ones get 503. 0 is any number."},
    {NULL}};

const struct option_table proxy_listen_table = {.name = "forward proxy",
    .help = "Clients of this listener may go where no service is: by CONNECT, or by requests "
            "whose target names the host. Hosts that routes name stay theirs.",
    .options = rows,
    .size = sizeof(struct proxy_listen_options),
    .shorthand = "to",
    .example = "listen: {http: {address: \":3128\", forward-proxy: [\"*.example.com\", "
               "\"10.0.0.0/8:*\"]}}"};

/* --- preparing */

static enum status prepare_one(const struct prepare *prepare, const struct proxy_prepare *parts,
    const struct gateway_options *options, const struct listen_address *at,
    struct proxied_listener *listener)
{
    const struct proxy_listen_options *from = &at->proxy;
    const struct proxy *proxy;
    prepare->reader->subject =
        arena_format(prepare->reader->arena, "forward proxy of \"%.*s\"", SLICE_ARG(at->text));
    enum status e = proxy_new(parts, at->text, &from->proxy, &proxy);
    if (e)
        return e;
    struct handler inner = {proxy_serve, proxy};
    *listener = (struct proxied_listener){.name = at->text, .is_tls = at->is_tls};
    return chain_admit(
        prepare->reader, options, from->has_use ? &from->use : NULL, inner, &listener->chain);
}

enum status proxy_listen_prepare(const struct prepare *prepare, struct service_plane *plane,
    const struct gateway_options *options, struct proxied_listeners *listeners)
{
    const struct listen_options *listen = &options->listen;
    struct proxy_prepare parts = {.arena = prepare->reader->arena,
        .registry = prepare->registry,
        .metrics = prepare->metrics,
        .shards = prepare->shards,
        .plane = plane,
        .own = &listeners->own,
        .workers = prepare->workers};
    listeners->items = arena_array(parts.arena, listen->count + 1, sizeof *listeners->items);
    enum status e = listeners->items ? OK : NO_MEMORY;
    for (size_t i = 0; !e && i < listen->count; i++)
        if (listen->all[i].proxy.is_set)
            e = prepare_one(
                prepare, &parts, options, &listen->all[i], &listeners->items[listeners->count++]);
    return e;
}

static bool is_internet(const struct address *address)
{
    return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

static size_t count_all(const struct snapshot *snapshot, struct listener *const *all)
{
    size_t count = snapshot->options->admin.count;
    for (; *all; all++)
        count++;
    return count;
}

enum status proxy_listen_note_own(struct snapshot *snapshot, struct listener *const *all)
{
    const struct listen_address *admin = snapshot->options->admin.items;
    struct proxy_own *own = &snapshot->proxied.own;
    if (snapshot->proxied.count == 0)
        return OK;
    struct address *addresses =
        arena_array(&snapshot->arena, count_all(snapshot, all) + 1, sizeof *addresses);
    if (!addresses)
        return NO_MEMORY;
    own->addresses = addresses;
    for (; *all; all++) {
        struct address bound = {.size = sizeof bound.local};
        if ((*all)->kind != LISTEN_UDP && is_internet(&(*all)->address) &&
            !getsockname((*all)->descriptor, &bound.any, &bound.size))
            addresses[own->count++] = bound;
    }
    for (size_t i = 0; i < snapshot->options->admin.count; i++)
        if (is_internet(&admin[i].address))
            addresses[own->count++] = admin[i].address;
    return OK;
}

/* --- serving */

/* HTTP/2 always names it: there it is foreign when the scheme is not the connection's, since only
 * tunnels lead to HTTPS, and a client that asks this server for something says how it asks. */
static bool names_place(const struct exchange *x)
{
    struct slice scheme = x->request.target_scheme;
    return x->request.version == HTTP_2 ? x->is_secure && slice_equal(scheme, SLICE("http"))
                                        : scheme.size > 0;
}

/* Who speaks plain HTTP at an HTTPS listener is told so. */
bool proxy_listen_is_asked(const struct snapshot *snapshot, const struct exchange *x)
{
    if (x->entrance->is_tls && !x->tls)
        return false;
    return proxy_is_tunnel(x) ||
           (names_place(x) && !router_names(snapshot->router, x->request.host));
}

static const struct proxied_listener *find(
    const struct proxied_listeners *listeners, const struct entrance *entrance)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (listeners->items[i].is_tls == entrance->is_tls &&
            slice_equal(listeners->items[i].name, entrance->name))
            return &listeners->items[i];
    return NULL;
}

/* Strangers are not told who the client is. */
static enum status prepare_request(struct exchange *x, const struct http_options *http)
{
    x->is_websocket = false;
    enum status e = fields_strip_hop_by_hop(&x->request.fields);
    if (!e)
        e = request_id_assign(x);
    if (!e)
        e = forwarded_write(x, FORWARDED_NONE);
    if (!e && http->via)
        e = via_add(&x->request.fields, x->request.version);
    return e;
}

enum status proxy_listen_serve(const struct snapshot *snapshot, struct exchange *x)
{
    const struct proxied_listener *listener = find(&snapshot->proxied, x->entrance);
    if (!listener)
        return NOT_IMPLEMENTED;
    x->facts.route = SLICE("forward-proxy");
    enum status e = prepare_request(x, snapshot->rules.http);
    return e ? e : handler_serve(&listener->chain, x);
}
