#include "gateway/listen_options.h"

#include "base/clock.h"
#include "gateway/l4_listen.h"

#define ADDRESS_HINT \
    SLICE("write \":8080\", \"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/run/weir.sock\"")

/* Reads three members at once, so it stands for the whole struct. */
static enum status read_address(struct reader *reader, const struct node *node, void *ret_value)
{
    struct listen_address *listen = ret_value;
    if (node->kind != NODE_SCALAR)
        return diagnostics_error(reader->diagnostics, node->place, ADDRESS_HINT,
            "an address is text, not %s", node_kind_name(node));
    listen->text = node->text;
    listen->place = node->place;
    if (address_parse(node->text, &listen->address))
        return diagnostics_error(reader->diagnostics, node->place, ADDRESS_HINT,
            "\"%.*s\" is not an address to listen on", SLICE_ARG(node->text));
    return OK;
}

#define ADDRESS_ROW                                                                         \
    {                                                                                       \
        "address", OPTION_CUSTOM, 0,                                                        \
            .read = read_address, .is_required = true, .form = "ADDRESS:PORT or unix:PATH", \
            .schema = "{\"type\":\"string\"}",                                              \
            .help = "\":8080\" (every address), \"127.0.0.1:8080\", \"[::1]:8080\", "       \
                    "\"unix:/run/weir.sock\"."                                              \
    }

#define AT(member) offsetof(struct listen_address, member)

#define PROXY_ROW                                                                                \
    {                                                                                            \
        "proxy-protocol", OPTION_FLAG, AT(proxy_protocol),                                       \
            .fallback = "false",                                                                 \
            .help = "Connections begin with a PROXY header, version 1 or 2, which says who the " \
                    "client is. Only peers in `trusted` are let in then."                        \
    }

#define FORWARD_ROW                                                                         \
    {                                                                                       \
        "forward-proxy", OPTION_STRUCT, AT(proxy),                                          \
            .table = &proxy_listen_table, .is_set_offset = AT(proxy.is_set),                \
            .help = "Clients may go elsewhere through this listener, as far as this says. " \
                    "Without it CONNECT is refused, and every request is for the routes."   \
    }

static const struct option http_rows[] = {ADDRESS_ROW, PROXY_ROW, FORWARD_ROW,
    {"http2", OPTION_FLAG, AT(http2), .fallback = "false",
        .help = "Clients may also speak HTTP/2 here from the first byte on (\"prior knowledge\", "
                "h2c). With TLS they always may."},
    {"redirect", OPTION_FLAG, AT(redirects), .fallback = "false",
        .help = "Answer every request with 308 to the same place by HTTPS. Requests below "
                "/.well-known/acme-challenge/ go to the routes."},
    {"redirect-port", OPTION_INTEGER, AT(redirect_port), .minimum = 1, .maximum = 65535,
        .help = "The port that clients are sent to, when it is not that of the first HTTPS "
                "listener: another one is seen from outside."},
    {NULL}};

/* `http: redirect` is the usual port. */
static enum status read_http_word(struct reader *reader, const struct node *node, void *value)
{
    struct listen_address *listen = value;
    if (node->kind != NODE_SCALAR || !slice_equal(node->text, SLICE("redirect")))
        return NOT_FOUND;
    struct node usual = *node;
    usual.text = SLICE(":80");
    listen->redirects = true;
    return read_address(reader, &usual, listen);
}

static enum status check_http(struct reader *reader, const struct node *node, void *value)
{
    const struct listen_address *listen = value;
    if (listen->redirect_port && !listen->redirects)
        return diagnostics_error(reader->diagnostics, node_get(node, SLICE("redirect-port"))->place,
            SLICE("add `redirect: true`"), "a port to redirect to, but no redirect");
    return OK;
}

static const struct option_table http_address_table = {.name = "listener",
    .help = "An address for plain HTTP. The word `redirect` in its place is port 80, from where "
            "clients are sent to HTTPS.",
    .options = http_rows,
    .size = sizeof(struct listen_address),
    .shorthand = "address",
    .read_phrase = read_http_word,
    .check = check_http,
    .example = "listen: {https: \":443\", http: redirect}"};

#define HSTS(member) offsetof(struct hsts_options, member)

static const struct option hsts_rows[] = {
    {"max-age", OPTION_DURATION, HSTS(max_age), .is_required = true, .is_set_offset = HSTS(is_set),
        .minimum = 0, .maximum = 3650 * DAY,
        .help = "How long browsers are to use nothing but HTTPS for the host; 0s takes it back."},
    {"subdomains", OPTION_FLAG, HSTS(has_subdomains), .fallback = "false",
        .help = "And for all hosts below it."},
    {"preload", OPTION_FLAG, HSTS(is_preloaded), .fallback = "false",
        .help = "Says that the host may be put on the list that browsers are shipped with. It is "
                "hard to get off it."},
    {NULL}};

/* What browsers' list of preloaded hosts demands. */
static enum status check_hsts(struct reader *reader, const struct node *node, void *value)
{
    const struct hsts_options *hsts = value;
    if (hsts->is_preloaded && (!hsts->has_subdomains || hsts->max_age < 365 * DAY))
        return diagnostics_error(reader->diagnostics, node_get(node, SLICE("preload"))->place,
            SLICE("{max-age: 365d, subdomains: true, preload: true}"),
            "`preload` needs `subdomains: true` and a `max-age` of 365d or more");
    return OK;
}

static const struct option_table hsts_table = {.name = "hsts",
    .help = "Strict-Transport-Security (RFC 6797): browsers that have seen it do not speak plain "
            "HTTP to the host any more. It replaces what services say.",
    .options = hsts_rows,
    .size = sizeof(struct hsts_options),
    .shorthand = "max-age",
    .check = check_hsts,
    .example = "listen: {https: {address: \":443\", hsts: 365d}}"};

static const struct option https_rows[] = {ADDRESS_ROW, PROXY_ROW, FORWARD_ROW,
    {"hsts", OPTION_STRUCT, AT(hsts), .table = &hsts_table,
        .help = "Tells browsers to use HTTPS only, and for how long. Not by default."},
    {NULL}};

static const struct option_table https_address_table = {.name = "HTTPS listener",
    .help = "An address for HTTPS. Certificates are in `tls`.",
    .options = https_rows,
    .size = sizeof(struct listen_address),
    .shorthand = "address",
    .example = "listen: {https: {address: \":443\", hsts: 365d}}"};

static const struct option admin_rows[] = {ADDRESS_ROW, {NULL}};

const struct option_table admin_address_table = {.name = "admin listener",
    .help = "An address for operators.",
    .options = admin_rows,
    .size = sizeof(struct listen_address),
    .shorthand = "address",
    .example = "admin: \"127.0.0.1:9090\""};

static const struct option listen_rows[] = {
    {"http", OPTION_LIST, offsetof(struct listen_options, http), .table = &http_address_table,
        .help = "Addresses for plain HTTP, or the word `redirect`."},
    {"https", OPTION_LIST, offsetof(struct listen_options, https), .table = &https_address_table,
        .help = "Addresses for HTTPS; `tls` says with which certificates."},
    {"tcp", OPTION_MAP, offsetof(struct listen_options, tcp), .table = &tcp_table,
        .help = "Addresses for TCP connections that go to a service as they are: {\":5432\": "
                "postgres}."},
    {"udp", OPTION_MAP, offsetof(struct listen_options, udp), .table = &udp_table,
        .help = "Addresses for datagrams that go to a service as they are: {\":53\": dns}."},
    {NULL}};

/* The lists in one, for whoever opens them. */
static enum status join(struct arena *arena, struct listen_options *listen)
{
    const struct listen_address *http = listen->http.items, *https = listen->https.items;
    listen->all =
        arena_array(arena, listen->http.count + listen->https.count + 1, sizeof *listen->all);
    if (!listen->all)
        return NO_MEMORY;
    for (size_t i = 0; i < listen->http.count; i++)
        listen->all[listen->count++] = http[i];
    for (size_t i = 0; i < listen->https.count; i++) {
        listen->all[listen->count] = https[i];
        listen->all[listen->count++].is_tls = true;
    }
    return OK;
}

/* Port 0 is another one each time. */
static bool is_same_place(const struct listen_address *a, const struct listen_address *b)
{
    bool is_any_port = a->address.any.sa_family != AF_UNIX && address_port(&a->address) == 0;
    return !is_any_port && listen_is_alike(a->kind, b->kind) &&
           address_equal(&a->address, &b->address);
}

static void check_places(struct reader *reader, const struct listen_options *listen)
{
    for (size_t i = 0; i < listen->count; i++)
        for (size_t j = 0; j < i; j++) {
            if (!is_same_place(&listen->all[j], &listen->all[i]))
                continue;
            diagnostics_error(reader->diagnostics, listen->all[i].place, SLICE_NONE,
                "two listeners have the address %.*s", SLICE_ARG(listen->all[i].text));
            diagnostics_relate(reader->diagnostics, listen->all[j].place, "the other is here");
            break;
        }
}

static enum status check_listen(struct reader *reader, const struct node *node, void *value)
{
    struct listen_options *listen = value;
    const struct listen_address *http = listen->http.items;
    for (size_t i = 0; i < listen->http.count; i++)
        if (http[i].redirects && !http[i].redirect_port && !listen->https.count)
            diagnostics_error(reader->diagnostics, http[i].place,
                SLICE("listen: {https: \":443\", http: redirect}"),
                "a redirect to HTTPS needs an address in `https`");
    if (listen->http.count + listen->https.count + listen->tcp.count + listen->udp.count == 0)
        diagnostics_error(reader->diagnostics, node->place, SLICE("listen: \":8080\""),
            "there is no address to listen on");
    enum status e = join(reader->arena, listen);
    if (!e)
        e = l4_listen_join(reader, listen);
    if (!e)
        check_places(reader, listen);
    return e;
}

const struct option_table listen_table = {.name = "listen",
    .help = "Where clients connect.",
    .options = listen_rows,
    .size = sizeof(struct listen_options),
    .shorthand = "http",
    .check = check_listen,
    .example = "listen: [\":8080\", \"unix:/run/weir.sock\"]"};
