#include "service/service_options.h"

#include "run/proxy_header.h"
#include "service/balance_options.h"
#include "service/service.h"
#include "service/service_tls.h"
#include "service/source_options.h"

/* --- at */

static enum status read_place(struct reader *reader, const struct node *node, void *ret_value)
{
    struct endpoint_place *place = ret_value;
    const char *problem = NULL;
    if (node->kind != NODE_SCALAR)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("10.0.0.1:8080"),
            "an endpoint's address is text, not %s", node_kind_name(node));
    if (endpoint_place_parse(node->text, place, &problem))
        return diagnostics_error(reader->diagnostics, node->place, SLICE_NONE, "\"%.*s\": %s",
            SLICE_ARG(slice_head(node->text, 200)), problem);
    place->place = node->place;
    return OK;
}

static const struct option label_option = {.kind = OPTION_TEXT};

static const struct option endpoint_option_list[] = {
    {"address", OPTION_CUSTOM, offsetof(struct endpoint_options, at), .is_required = true,
        .read = read_place, .form = "host:port, https://host, or a source",
        .schema = "{\"type\": \"string\"}",
        .help =
            "An address, a host name with a port (resolved anew by its TTL), or unix:/path; with "
            "https:// in front of it TLS is spoken. Or a source of endpoints: "
            "dns+srv://cart.internal; "
            "what is said beside it holds for all that it finds."},
    {"weight", OPTION_INTEGER, offsetof(struct endpoint_options, weight), .fallback = "1",
        .minimum = 0, .maximum = 1000,
        .help = "Its share of the requests, beside the others' weights; 0: none."},
    {"tier", OPTION_INTEGER, offsetof(struct endpoint_options, tier), .fallback = "0", .minimum = 0,
        .maximum = 100,
        .help = "Those of the next tier are asked when none of this one is left, or as `spill` "
                "says."},
    {"backup", OPTION_FLAG, offsetof(struct endpoint_options, is_backup), .fallback = "false",
        .help = "Whether it is only asked when no other is left: in a tier behind all others."},
    {"zone", OPTION_TEXT, offsetof(struct endpoint_options, zone),
        .help = "Where it stands: a zone, or region/zone. It counts when `zone` of the service "
                "says where the gateway stands."},
    {"labels", OPTION_MAP, offsetof(struct endpoint_options, labels), .item = &label_option,
        .item_size = sizeof(struct slice), .help = "By which `subset` chooses among endpoints."},
    {NULL}};

static enum status read_loose_endpoint(
    struct reader *reader, const struct node_entry *entry, void *value)
{
    struct endpoint_options *options = value;
    return source_option_exists(entry->key)
               ? loose_options_add(reader->arena, &options->loose, entry)
               : NOT_FOUND;
}

static const struct option_table endpoint_table = {.name = "endpoint",
    .help = "One place where the service can be asked.",
    .options = endpoint_option_list,
    .size = sizeof(struct endpoint_options),
    .shorthand = "address",
    .read_unknown = read_loose_endpoint,
    .unknown_name = source_option_name,
    .unknown_option = source_option,
    .example = "{address: 10.0.0.1:8080, weight: 2}"};

/* --- timeout */

#define DURATION(name_, type, member, fallback_, least, help_)                    \
    {                                                                             \
        .name = name_, .kind = OPTION_DURATION, .offset = offsetof(type, member), \
        .fallback = fallback_, .minimum = least, .maximum = DAY, .help = help_    \
    }

static const struct option timeout_option_list[] = {
    DURATION("connect", struct timeout_options, connect, "5s", MILLISECOND,
        "Until a connection is there: waiting for a free one, or opening one."),
    DURATION("tls", struct timeout_options, tls, "0s", 0,
        "For the TLS handshake, within `connect`; 0s: nothing but that bounds it."),
    DURATION("first-byte", struct timeout_options, first_byte, "30s", MILLISECOND,
        "From the request's last byte to the answer's head. Calls of gRPC have their deadlines "
        "instead."),
    DURATION("idle", struct timeout_options, idle, "30s", MILLISECOND,
        "Between two parts of a body, either way; not of gRPC."),
    DURATION("try", struct timeout_options, attempt, "0s", 0,
        "For one try, from looking for a connection to the answer's head; 0s: any time. With "
        "`retry: "
        "1 if timeout` another try follows."),
    DURATION("total", struct timeout_options, total, "0s", 0,
        "For all tries and the whole answer; 0s: any time."),
    {NULL}};

static const struct option_table timeout_table = {.name = "timeout",
    .help = "How long the service may take. A single value is that for the first byte.",
    .options = timeout_option_list,
    .size = sizeof(struct timeout_options),
    .shorthand = "first-byte",
    .example = "{connect: 1s, first-byte: 10s}"};

/* --- connections */

static const struct option connection_option_list[] = {
    {"max", OPTION_INTEGER, offsetof(struct connection_options, max), .fallback = "1024",
        .minimum = 1, .maximum = 1000000,
        .help = "Connections to one endpoint, by all workers. Further requests wait."},
    {"idle", OPTION_INTEGER, offsetof(struct connection_options, idle), .fallback = "1024",
        .minimum = 0, .maximum = 1000000,
        .help = "Connections that each worker keeps open for one endpoint while they have nothing "
                "to do."},
    DURATION("idle-timeout", struct connection_options, idle_timeout, "55s", MILLISECOND,
        "How long they are kept. Choose less than the service itself does."),
    {"lifetime", OPTION_DURATION, offsetof(struct connection_options, lifetime), .fallback = "0s",
        .minimum = 0, .maximum = 30 * DAY,
        .help = "Older connections are closed after the request that they carry; 0s: never."},
    {"requests", OPTION_INTEGER, offsetof(struct connection_options, requests), .fallback = "0",
        .minimum = 0, .maximum = 1000000000,
        .help = "Requests that one connection carries; 0: any number."},
    {NULL}};

static const struct option_table connection_table = {.name = "connections",
    .help = "Connections to the service's endpoints, which are kept open and used again.",
    .options = connection_option_list,
    .size = sizeof(struct connection_options),
    .shorthand = "max",
    .example = "{max: 200, idle-timeout: 20s}"};

/* --- http2 */

static const struct option http2_option_list[] = {
    {"enabled", OPTION_FLAG, offsetof(struct service_http2_options, is_enabled), .fallback = "true",
        .help = "Whether the service is asked by HTTP/2."},
    {"streams", OPTION_INTEGER, offsetof(struct service_http2_options, streams), .fallback = "100",
        .minimum = 1, .maximum = 10000,
        .help =
            "Requests that one connection carries at a time, if the service allows as many; for "
            "more another is opened."},
    {"window", OPTION_SIZE, offsetof(struct service_http2_options, window), .fallback = "256KiB",
        .minimum = 16384, .maximum = 1 << 30,
        .help = "Bytes of one answer that may come before the client takes them."},
    DURATION("ping", struct service_http2_options, ping, "5m", 0,
        "After so long a silence under a request the service is asked for a sign of life; 0s: "
        "never. gRPC servers take more than one in 5m amiss unless told otherwise."),
    DURATION("ping-timeout", struct service_http2_options, ping_timeout, "10s", MILLISECOND,
        "How long that sign may take; then the connection is given up. Asked for too when an "
        "answer did not come in time."),
    {NULL}};

static const struct option_table http2_table = {.name = "http2",
    .help = "Asks the service by HTTP/2: over TLS where it agrees, without TLS at once, so it must "
            "know that.",
    .options = http2_option_list,
    .size = sizeof(struct service_http2_options),
    .shorthand = "enabled",
    .example = "{streams: 50, ping: 10m}"};

/* --- service */

static const char *const proxy_versions[] = {
    [PROXY_NONE] = "off", [PROXY_V1] = "v1", [PROXY_V2] = "v2", NULL};

/* The header speaks of one client, and requests of many share a connection of HTTP/2. */
static enum status check_proxy(struct reader *reader, const struct service_options *options)
{
    if (!options->send_proxy || !options->speaks_http2)
        return OK;
    return diagnostics_error(reader->diagnostics, options->proxy_place,
        SLICE("services see X-Forwarded-For and Forwarded in any case"),
        "a PROXY header speaks of one client, and connections of HTTP/2 carry many");
}

static enum status complain_http2(struct reader *reader, struct place place, const char *problem)
{
    return diagnostics_error(reader->diagnostics, place, SLICE("http2: true"), "%s", problem);
}

/* Either all endpoints are asked by HTTP/2, or none. */
static enum status check_protocol(struct reader *reader, struct service_options *options)
{
    const struct endpoint_options *items = options->at.items;
    size_t count = 0, one = 0;
    for (size_t i = 0; i < options->at.count; i++) {
        count += items[i].at.is_h2c;
        one = items[i].at.is_h2c ? i : one;
    }
    bool is_said = options->has_http2 && options->http2.is_enabled;
    options->speaks_http2 = is_said || count;
    if (count && options->has_http2 && !is_said)
        return complain_http2(reader, items[one].at.place,
            "h2c:// is HTTP/2, which this service is not to be asked by");
    if (count && !is_said && count < options->at.count)
        return complain_http2(reader, items[one].at.place,
            "h2c:// for one endpoint and not for another: a service speaks one protocol");
    return OK;
}

/* A balancer that does not look at weights has no use for them. */
static enum status reports_check(
    struct reader *reader, const struct node *node, const struct service_options *options)
{
    const struct report_options *reports = &options->reports;
    bool is_blind =
        slice_equal(slice_of_text(service_balancer(options)->name), SLICE("least-connections"));
    if (!reports->is_on || !is_blind || reports->overloaded > 0)
        return OK;
    return diagnostics_error(reader->diagnostics, node->place,
        SLICE("balance: weighted-least-connections"),
        "load reports become weights, which \"least-connections\" does not look at");
}

static enum status check_hedge(struct reader *reader, const struct service_options *options)
{
    if (!options->sticky.is_set || !options->hedge.is_set ||
        !hedge_rule_is_on(&options->hedge.rule))
        return OK;
    return diagnostics_error(reader->diagnostics, options->hedge.place, SLICE("hedge: off"),
        "a second request goes to another endpoint, and sticky requests have one of their own");
}

static enum status check_options(
    struct reader *reader, const struct node *node, struct service_options *options)
{
    if (options->release.written)
        return versions_read(reader, node, options);
    if (options->at.count == 0)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("at: 10.0.0.1:8080"),
            "a service needs at least one endpoint");
    enum status e = version_check(reader, options);
    if (!e)
        e = source_options_check(reader, options);
    if (!e)
        e = check_protocol(reader, options);
    if (!e && options->subset.is_set)
        e = subset_check(reader, node, options);
    if (!e && options->health.method == HEALTH_GRPC && !options->speaks_http2)
        e = diagnostics_error(reader->diagnostics, node->place, SLICE("http2: true"),
            "gRPC's health checks need a service that is asked by HTTP/2");
    if (!e)
        e = reports_check(reader, node, options);
    if (!e)
        e = check_hedge(reader, options);
    if (!e)
        e = check_proxy(reader, options);
    if (!e)
        e = service_tls_check(reader, node, options);
    if (!e && options->health.method == HEALTH_TLS && !options->tls.state)
        e = diagnostics_error(reader->diagnostics, node->place, SLICE("at: https://10.0.0.1:8443"),
            "a check by tls needs a service that is asked by TLS");
    return e;
}

static enum status check_service(struct reader *reader, const struct node *node, void *value)
{
    struct service_options *options = value;
    enum status e = written_keep(reader->arena, node, &options->written);
    return e ? e : check_options(reader, node, options);
}

static const struct option versions_shape = {.kind = OPTION_MAP, .table = &service_table};

static const struct option service_option_list[] = {
    {"at", OPTION_LIST, offsetof(struct service_options, at), .table = &endpoint_table,
        .item_size = sizeof(struct endpoint_options),
        .help = "Where the service can be asked: one endpoint or source, or a list of both. Every "
                "service needs it, or each of its versions."},
    {"balance", OPTION_STRUCT, offsetof(struct service_options, balance), .table = &balance_table,
        .help = "How one of the endpoints is chosen."},
    {"sticky", OPTION_STRUCT, offsetof(struct service_options, sticky), .table = &sticky_table,
        .is_set_offset = offsetof(struct service_options, sticky.is_set),
        .help =
            "Whose requests stay with the endpoint that they came to first; nothing: nobody's."},
    {"subset", OPTION_STRUCT, offsetof(struct service_options, subset), .table = &subset_table,
        .is_set_offset = offsetof(struct service_options, subset.is_set),
        .help = "By which label of theirs endpoints are chosen; nothing: by none."},
    {"slow-start", OPTION_STRUCT, offsetof(struct service_options, slow_start),
        .table = &slow_start_table,
        .is_set_offset = offsetof(struct service_options, slow_start.is_set),
        .help = "How endpoints begin that come back, and, if it is written, those that are new."},
    {"zone", OPTION_STRUCT, offsetof(struct service_options, zone), .table = &zone_table,
        .help = "Where the gateway stands, so that endpoints nearby are preferred; nothing: "
                "wherever they stand."},
    {"spill", OPTION_SHARE, offsetof(struct service_options, spill), .fallback = "0%", .minimum = 0,
        .maximum = 100,
        .help = "The part of a tier or region that must be up for it to be asked alone; with less, "
                "the next takes what is missing in proportion. 0%: the next is asked when none is "
                "left."},
    {"timeout", OPTION_STRUCT, offsetof(struct service_options, timeout), .table = &timeout_table,
        .help = "How long the service may take."},
    {"retry", OPTION_STRUCT, offsetof(struct service_options, retry), .table = &retry_table,
        .help = "When a request is sent once more, elsewhere if there is anywhere else."},
    {"hedge", OPTION_STRUCT, offsetof(struct service_options, hedge), .table = &hedge_table,
        .is_set_offset = offsetof(struct service_options, hedge.is_set),
        .place_offset = offsetof(struct service_options, hedge.place),
        .help = "When a request that takes long is sent to a second endpoint as well; nothing: "
                "never."},
    {"connections", OPTION_STRUCT, offsetof(struct service_options, connections),
        .table = &connection_table, .help = "How many connections there may be, and for how long."},
    {"health", OPTION_STRUCT, offsetof(struct service_options, health), .table = &health_table,
        .help = "How to ask an endpoint whether it is well; nothing: it is not asked."},
    {"agent", OPTION_STRUCT, offsetof(struct service_options, agent), .table = &agent_table,
        .help = "How to ask an endpoint how loaded it is; nothing: it is not asked."},
    {"load-reports", OPTION_STRUCT, offsetof(struct service_options, reports),
        .table = &report_table, .is_set_offset = offsetof(struct service_options, reports.is_set),
        .help = "Whether answers say how loaded the endpoint is (ORCA); nothing: it is not read."},
    {"outlier", OPTION_STRUCT, offsetof(struct service_options, outlier), .table = &outlier_table,
        .help = "When an endpoint is taken out because requests fail there."},
    {"breaker", OPTION_STRUCT, offsetof(struct service_options, breaker), .table = &breaker_table,
        .is_set_offset = offsetof(struct service_options, breaker.is_set),
        .help = "When the service is left alone for a while because too much fails; nothing: "
                "never."},
    {"fallback", OPTION_STRUCT, offsetof(struct service_options, fallback),
        .table = &fallback_table,
        .is_set_offset = offsetof(struct service_options, fallback.is_set),
        .help = "What clients get when the service cannot answer; nothing: the failure."},
    {"concurrency", OPTION_STRUCT, offsetof(struct service_options, concurrency),
        .table = &concurrency_table, .help = "How many requests may be under way at a time."},
    {"queue", OPTION_STRUCT, offsetof(struct service_options, queue), .table = &queue_table,
        .help = "Where the others wait, and how long."},
    {"shed", OPTION_STRUCT, offsetof(struct service_options, shed), .table = &shed_table,
        .is_set_offset = offsetof(struct service_options, shed.is_set),
        .help = "Which requests are kept from it while it fails too often; nothing: none."},
    {"panic", OPTION_SHARE, offsetof(struct service_options, panic), .fallback = "50%",
        .minimum = 0, .maximum = 100,
        .help = "When fewer of the endpoints are well, the others are asked too, since checks and "
                "ejections are wrong then more often than most of a service is gone; 0%: never. "
                "What an operator or an agent has said holds nevertheless."},
    {"tls", OPTION_STRUCT, offsetof(struct service_options, tls), .table = &service_tls_table,
        .is_set_offset = offsetof(struct service_options, tls.is_set),
        .help = "How TLS is spoken to the endpoints; nothing: as https:// says."},
    {"http2", OPTION_STRUCT, offsetof(struct service_options, http2), .table = &http2_table,
        .is_set_offset = offsetof(struct service_options, has_http2),
        .help = "Asks the service by HTTP/2, as h2c:// in its address does."},
    {"send-proxy", OPTION_CHOICE, offsetof(struct service_options, send_proxy), .fallback = "off",
        .choices = proxy_versions, .place_offset = offsetof(struct service_options, proxy_place),
        .help = "Tell the service who the client is by a PROXY header of this version, before TLS "
                "if there is any. A connection then serves the requests of one client's connection "
                "and of no other."},
    {"host", OPTION_TEXT, offsetof(struct service_options, host),
        .help = "The Host that the service sees: a text, or \"endpoint\" for its address. By "
                "default what the client asked for."},
    {"versions", OPTION_CUSTOM, offsetof(struct service_options, release.written),
        .read = versions_keep, .form = "{v1: 10.0.0.1:80, v2: {at: 10.0.0.2:80, share: 10%}}",
        .item = &versions_shape,
        .help = "Versions of the service, each a service of its own by the name SERVICE.VERSION; "
                "what stands beside `versions` is the default for each."},
    {"stay", OPTION_STRUCT, offsetof(struct service_options, release.stay), .table = &stay_table,
        .help = "Of a service with versions: how users are known, who stay with their version."},
    {"judge", OPTION_STRUCT, offsetof(struct service_options, release.judge), .table = &judge_table,
        .is_set_offset = offsetof(struct service_options, release.judge.is_set),
        .place_offset = offsetof(struct service_options, release.judge_place),
        .help = "Of a service with versions: takes one out that does worse than the old one."},
    {"mirror", OPTION_STRUCT, offsetof(struct service_options, mirror), .table = &mirror_table,
        .is_set_offset = offsetof(struct service_options, mirror.is_set),
        .help = "Another service, or a version of this one, that gets copies of the requests."},
    {"share", OPTION_SHARE, offsetof(struct service_options, release.share), .minimum = 0,
        .maximum = 100, .is_set_offset = offsetof(struct service_options, release.has_share),
        .place_offset = offsetof(struct service_options, release.share_place),
        .help = "Of a version: its part of the users. Versions without one share the rest, unless "
                "they have a condition."},
    {"when", OPTION_EXPRESSION, offsetof(struct service_options, release.when),
        .place_offset = offsetof(struct service_options, release.when_place),
        .help = "Of a version: a condition on requests which it gets whatever its share is. The "
                "first version whose condition holds gets them."},
    {NULL}};

static enum status read_loose(struct reader *reader, const struct node_entry *entry, void *value)
{
    struct service_options *options = value;
    return source_option_exists(entry->key)
               ? loose_options_add(reader->arena, &options->loose, entry)
               : NOT_FOUND;
}

void service_inherit_zone(void *value, struct slice zone)
{
    struct service_options *options = value;
    if (options->zone.own.size == 0)
        options->zone.own = zone;
}

const struct option_table service_table = {.name = "service",
    .help = "A part of the system that answers requests, at one or more endpoints.",
    .options = service_option_list,
    .size = sizeof(struct service_options),
    .shorthand = "at",
    .read_unknown = read_loose,
    .unknown_name = source_option_name,
    .unknown_option = source_option,
    .check = check_service,
    .example = "user: [10.0.0.1:8080, 10.0.0.2:8080]"};
