#include "gateway/options.h"

#include "gateway/l4_listen.h"
#include "gateway/proof.h"
#include "policy/policy.h"
#include "route/hosts.h"
#include "service/service.h"

static const char *const slash_words[] = {"refuse", "keep", "decode", NULL};
static const char *const forwarded_words[] = {"x-forwarded", "forwarded", "both", "none", NULL};

#define HTTP(member) offsetof(struct http_options, member)

static const struct option http_rows[] = {
    {"head-timeout", OPTION_DURATION, HTTP(head_timeout), .fallback = "10s",
        .help = "How long a request's head may take from its first byte; then 408."},
    {"body-timeout", OPTION_DURATION, HTTP(body_timeout), .fallback = "30s",
        .help = "The longest silence inside a body, in either direction; 408 while the request is "
                "read. Calls of gRPC by HTTP/2 may be silent."},
    {"keep-alive", OPTION_DURATION, HTTP(keep_alive), .fallback = "60s",
        .help = "How long a connection may be idle between requests before it is closed."},
    {"request-timeout", OPTION_DURATION, HTTP(request_timeout),
        .help =
            "For a whole exchange, from the head to the last byte of the answer. None by default."},
    {"line-max", OPTION_SIZE, HTTP(line_max), .fallback = "8KiB", .minimum = 256, .maximum = 65536,
        .help = "The longest request line; then 414."},
    {"head-max", OPTION_SIZE, HTTP(head_max), .fallback = "32KiB", .minimum = 1024,
        .maximum = 262144, .help = "The largest header section; then 431."},
    {"fields-max", OPTION_INTEGER, HTTP(fields_max), .fallback = "100", .minimum = 8,
        .maximum = 10000, .help = "How many header fields a request may have; then 431."},
    {"trailers-max", OPTION_SIZE, HTTP(trailers_max), .fallback = "8KiB", .minimum = 256,
        .maximum = 65536, .help = "The largest trailer section."},
    {"requests-max", OPTION_INTEGER, HTTP(requests_max), .minimum = 0, .maximum = INT64_MAX,
        .help = "How many requests a connection may carry before it is closed; 0 is any number."},
    {"connections-max", OPTION_INTEGER, HTTP(connections_max), .fallback = "100000", .minimum = 0,
        .maximum = INT64_MAX,
        .help = "How many client connections a worker holds open; further ones get 503. 0 is any "
                "number."},
    {"encoded-slash", OPTION_CHOICE, HTTP(encoded_slash), .fallback = "refuse",
        .choices = slash_words,
        .help =
            "What to do with %2F in a path: refuse it with 400, keep it as it is, or decode it."},
    {"forwarded", OPTION_CHOICE, HTTP(forwarded), .fallback = "x-forwarded",
        .choices = forwarded_words,
        .help = "Which fields tell services about the client: X-Forwarded-For, -Proto, -Host and "
                "-Port, or "
                "Forwarded (RFC 7239), or both."},
    {"deadline", OPTION_FLAG, HTTP(deadline), .fallback = "false",
        .help =
            "Whether deadlines travel by X-Request-Deadline, in milliseconds since 1970: what a "
            "trusted client says limits the exchange, and services are told until when they "
            "are waited for."},
    {"via", OPTION_FLAG, HTTP(via), .fallback = "true",
        .help = "Add Via to requests and answers (RFC 9110 §7.6.3)."},
    {"http2", OPTION_STRUCT, HTTP(http2), .table = &http2_table,
        .help = "Bounds of HTTP/2 with clients."},
    {NULL}};

const struct option_table http_table = {.name = "http",
    .help = "Time limits and bounds of the HTTP that clients speak, and how the gateway presents "
            "itself.",
    .options = http_rows,
    .size = sizeof(struct http_options),
    .example = "http: {keep-alive: 30s, encoded-slash: keep}"};

static const char *const format_words[] = {"json", "combined", NULL};

static const struct option log_rows[] = {
    {"to", OPTION_TEXT, offsetof(struct log_options, to), .fallback = "stdout",
        .help = "Where the access log goes: a path, stdout, stderr, or off."},
    {"format", OPTION_CHOICE, offsetof(struct log_options, format), .fallback = "json",
        .choices = format_words, .help = "One JSON object a line, or the combined format."},
    {"buffer", OPTION_SIZE, offsetof(struct log_options, buffer), .fallback = "1MiB",
        .minimum = 4096, .maximum = 1 << 30,
        .help = "Lines that a worker may hold until they are written; beyond that they are dropped "
                "and counted."},
    {NULL}};

static const struct option_table log_table = {.name = "log",
    .help = "The access log: one line an answer. A slow disk or pipe drops lines, it never slows a "
            "request.",
    .options = log_rows,
    .size = sizeof(struct log_options),
    .shorthand = "to",
    .example = "log: {to: /var/log/weir/access.log, format: combined}"};

static enum status read_reference(struct reader *reader, const struct node *node, void *ret_value)
{
    struct policy_reference *reference = ret_value;
    if (node->kind != NODE_SCALAR)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("write for example limits.login"), "`use` lists names of policies, not %s",
            node_kind_name(node));
    *reference = (struct policy_reference){node->text, node->place};
    return OK;
}

const struct option policy_reference_option = {"policy", OPTION_CUSTOM, 0, .read = read_reference,
    .form = "KIND.NAME", .schema = "{\"type\":\"string\"}",
    .help = "A policy's kind and name, such as limits.login."};

/* Checked where it is written: the router sees it once a route. */
static enum status read_host(struct reader *reader, const struct node *node, void *ret_value)
{
    static const struct slice example = {"api.example.com, *.example.com or *", 35};
    enum host_kind kind;
    struct slice name;
    if (node->kind != NODE_SCALAR)
        return diagnostics_error(reader->diagnostics, node->place, example,
            "a host is text, not %s", node_kind_name(node));
    enum status e = host_parse(reader->arena, node->text, &kind, &name);
    if (e == INVALID)
        return diagnostics_error(reader->diagnostics, node->place, example,
            "\"%.*s\" is not a host", SLICE_ARG(slice_head(node->text, 200)));
    *(struct slice *)ret_value = node->text;
    return e;
}

const struct option host_option = {"host", OPTION_CUSTOM, 0, .read = read_host, .form = "HOST",
    .schema = "{\"type\":\"string\"}", .help = "A host name or *.wildcard."};

/* Named policies stand at the top under their plurals: `limits: {login: 5/min}`. */
static enum status read_policies(struct reader *reader, const struct node_entry *entry, void *value)
{
    struct gateway_options *options = value;
    const struct policy_type *type = policy_type_of_plural(entry->key);
    if (!type)
        return NOT_FOUND;
    if (entry->value->kind != NODE_MAP)
        return diagnostics_error(reader->diagnostics, entry->value->place,
            SLICE("write NAME: and its options below"), "`%.*s` is a map of names, not %s",
            SLICE_ARG(entry->key), node_kind_name(entry->value));
    for (size_t i = 0; i < entry->value->count; i++) {
        const struct node_entry *named = &entry->value->entries[i];
        struct slice name =
            arena_join(reader->arena, (struct slice[]){entry->key, SLICE("."), named->key}, 3);
        struct named_policy policy = {type, name, named->key_place, NULL};
        enum status e = policy_config_read(reader, type, named->value, name, &policy.config);
        if (e == NO_MEMORY || !name.data)
            return NO_MEMORY;
        if (!e && (e = named_policies_add(reader, &options->policies, &policy)))
            return e;
    }
    return OK;
}

static const char *plural_name(size_t i)
{
    return policy_types[i] ? policy_types[i]->plural : NULL;
}

static bool plural_option(size_t i, struct option *ret_option)
{
    *ret_option = (struct option){.kind = OPTION_MAP,
        .table = policy_types[i]->options,
        .help = policy_types[i]->options->help};
    return true;
}

static enum status check_certificates(struct reader *reader, const struct gateway_options *options)
{
    const struct listen_address *https = options->listen.https.items;
    const struct option_map_entry *tcp = l4_listen_with_tls(&options->listen);
    if (tcp && !options->tls.is_set)
        diagnostics_error(reader->diagnostics, tcp->place,
            SLICE("add `tls: {cert: shop.pem, key: shop.key}`"),
            "a TCP listener with TLS needs a certificate");
    if (!options->listen.https.count || options->tls.is_set)
        return OK;
    return diagnostics_error(reader->diagnostics, https->place,
        SLICE("add `tls: {cert: shop.pem, key: shop.key}`"), "HTTPS needs a certificate");
}

/* A listener that takes the word of nobody would serve nobody. */
static void check_proxies(struct reader *reader, const struct gateway_options *options)
{
    for (size_t i = 0; i < options->listen.count && !options->trusted.count; i++)
        if (options->listen.all[i].proxy_protocol)
            diagnostics_error(reader->diagnostics, options->listen.all[i].place,
                SLICE("name the proxies at the top: trusted: [10.0.0.0/8]"),
                "a PROXY header is read from `trusted` peers only, and there are none");
}

/* Services stand where the gateway stands, unless they say otherwise. */
static void inherit_zone(struct gateway_options *options)
{
    for (size_t i = 0; i < options->services.count; i++)
        service_inherit_zone(options->services.entries[i].value, options->zone);
}

static enum status check_top(struct reader *reader, const struct node *node, void *value)
{
    struct gateway_options *options = value;
    const struct node *workers = node_get(node, SLICE("workers"));
    if (workers)
        options->workers_place = workers->place;
    check_proxies(reader, options);
    inherit_zone(options);
    const struct node *version = node_get(node, SLICE("version"));
    if (version && options->version != 1)
        return diagnostics_error(reader->diagnostics, version->place, SLICE("write `version: 1`"),
            "this program reads version 1 of the configuration only");
    return check_certificates(reader, options);
}

/* Several routes of one key are told apart by conditions. */
static const struct option alternatives = {.kind = OPTION_LIST, .table = &route_table};
static const struct option routes_shape = {.kind = OPTION_MAP, .item = &alternatives};

#define TOP(member)   offsetof(struct gateway_options, member)

#define DRAIN(member) offsetof(struct drain_options, member)

static const struct option drain_rows[] = {
    {"time", OPTION_DURATION, DRAIN(time), .fallback = "30s",
        .help = "How long exchanges have to end; then they are cut off."},
    {"spread", OPTION_DURATION, DRAIN(spread), .fallback = "10s",
        .help =
            "WebSockets and streams of events are ended one after the other over this time, so "
            "that clients do not all come back at once. At most two thirds of `time`, and 10 ms "
            "for each: few are ended at once. 0s ends all at once."},
    {NULL}};

static const struct option_table drain_table = {.name = "drain",
    .help = "How a stop ends what is under way.",
    .options = drain_rows,
    .size = sizeof(struct drain_options),
    .shorthand = "time",
    .example = "{time: 60s, spread: 30s}"};

static const struct option gateway_rows[] = {
    {"version", OPTION_INTEGER, TOP(version), .is_required = true, .minimum = 0, .maximum = 1000,
        .help = "The version of this file's format: 1."},
    {"listen", OPTION_STRUCT, TOP(listen), .table = &listen_table, .is_required = true,
        .help = "Where clients connect."},
    {"tls", OPTION_STRUCT, TOP(tls), .table = &tls_table, .help = "Certificates."},
    {"hosts", OPTION_LIST, TOP(hosts), .item = &host_option, .item_size = sizeof(struct slice),
        .help = "The host names that the routes answer for, exact or *.wildcard; any host when "
                "there are none."},
    {"services", OPTION_MAP, TOP(services), .table = &service_table, .item_size = 0,
        .help = "The parts of the system, by name."},
    {"zone", OPTION_TEXT, TOP(zone),
        .help = "Where this gateway stands: a zone, or region/zone. Services prefer endpoints of "
                "that zone, unless their own `zone` says otherwise."},
    {"discovery", OPTION_STRUCT, TOP(discovery), .table = &discovery_table,
        .help = "Options for all sources of endpoints of one kind."},
    {"redis", OPTION_STRUCT, TOP(redis), .table = &redis_table, .is_set_offset = TOP(redis.is_set),
        .help = "A server through which all gateways count together."},
    {"postgres", OPTION_STRUCT, TOP(postgres), .table = &postgres_table,
        .is_set_offset = TOP(postgres.is_set),
        .help = "A PostgreSQL server through which all gateways remember together (module "
                "weir-postgres)."},
    {"state", OPTION_STRUCT, TOP(state), .table = &state_table,
        .help = "What this gateway itself remembers, and the file for what has to last."},
    {"use", OPTION_LIST, TOP(use), .item = &policy_reference_option,
        .item_size = sizeof(struct policy_reference),
        .help = "Policies for every route that has no `use` of its own."},
    {"deny-by-default", OPTION_FLAG, TOP(denies_by_default), .fallback = "false",
        .help = "Whether a route answers 403 that says nowhere who is let in, by `auth` or "
                "`allow`. One for everybody says so: `allow: true`."},
    {"routes", OPTION_CUSTOM, TOP(routes), .read = routes_read, .form = "METHOD /path: service",
        .item = &routes_shape, .help = "What goes where, a line each."},
    {"http", OPTION_STRUCT, TOP(http), .table = &http_table, .help = "Time limits and bounds."},
    {"log", OPTION_STRUCT, TOP(log), .table = &log_table, .help = "The access log."},
    {"admin", OPTION_LIST, TOP(admin), .table = &admin_address_table,
        .help =
            "Addresses that serve /metrics, /livez, /readyz and /v1/status; keep them private."},
    {"trusted", OPTION_NETWORKS, TOP(trusted),
        .help = "Networks of proxies whose Forwarded, X-Forwarded-* and X-Request-Id fields are "
                "believed."},
    {"workers", OPTION_INTEGER, TOP(workers), .fallback = "0", .minimum = 0, .maximum = 1024,
        .help = "How many threads serve; 0 is one for each processor."},
    {"drain", OPTION_STRUCT, TOP(drain), .table = &drain_table,
        .help = "How a stop ends what is under way, and so does an upgrade in the old process."},
    {"tests", OPTION_LIST, TOP(tests), .table = &proof_table,
        .help = "Expectations that `weir test` checks, without a network."},
    {NULL}};

const struct option_table gateway_table = {.name = "configuration",
    .help = "One file, or a folder of files that are read as one.",
    .options = gateway_rows,
    .size = sizeof(struct gateway_options),
    .check = check_top,
    .read_unknown = read_policies,
    .unknown_name = plural_name,
    .unknown_option = plural_option,
    .example = "version: 1"};
