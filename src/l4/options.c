#include "l4/options.h"

#include "base/clock.h"
#include "run/proxy_header.h"

#define TCP(member) offsetof(struct tcp_options, member)

/* --- server names */

static enum status complain_of_target(struct reader *reader, const struct node *node)
{
    return diagnostics_error(reader->diagnostics, node->place,
        SLICE("{a.example: shop, \"*.b.example\": {h2: grpc, else: web}, else: web}"),
        "a server name leads to a service, or to one for each protocol, not %s",
        node_kind_name(node));
}

static enum status read_target(
    struct reader *reader, const struct node *node, struct l4_service_name *to)
{
    if (node->kind != NODE_SCALAR || node->text.size == 0)
        return complain_of_target(reader, node);
    *to = (struct l4_service_name){node->text, node->place};
    return OK;
}

static enum status read_name(struct reader *reader, const struct node *node, void *ret_value)
{
    size_t count = node->kind == NODE_MAP ? node->count : 1;
    struct l4_name_options name = {
        arena_array(reader->arena, count, sizeof(struct l4_protocol_options)), count};
    enum status e = OK;
    if (!name.items)
        return NO_MEMORY;
    if (node->kind != NODE_MAP)
        e = read_target(reader, node, &name.items[0].to);
    for (size_t i = 0; !e && node->kind == NODE_MAP && i < count; i++) {
        const struct node_entry *entry = &node->entries[i];
        bool is_else = slice_equal(entry->key, SLICE("else"));
        name.items[i].protocol = is_else ? SLICE_NONE : entry->key;
        e = read_target(reader, entry->value, &name.items[i].to);
    }
    if (!e)
        *(struct l4_name_options *)ret_value = name;
    return e;
}

static const struct option name_option = {.name = "sni",
    .kind = OPTION_CUSTOM,
    .read = read_name,
    .form = "SERVICE or {PROTOCOL: SERVICE}",
    .schema = "{\"type\": [\"string\", \"object\"]}",
    .help = "A service, or one for each protocol that the client offers (ALPN)."};

/* --- TCP */

static const char *const proxy_versions[] = {
    [PROXY_NONE] = "off", [PROXY_V1] = "v1", [PROXY_V2] = "v2", NULL};

static const struct option tcp_rows[] = {
    {"to", OPTION_TEXT, TCP(to.name), .place_offset = TCP(to.place),
        .help = "The service that connections go to."},
    {"sni", OPTION_MAP, TCP(sni), .item = &name_option, .item_size = sizeof(struct l4_name_options),
        .help = "TLS that goes through as it is, to services by the server's name that the client "
                "asks for: a name, \"*.a.example\" for all below it, or `else` for all others and "
                "for none. Where there is a map instead of a service, it goes by ALPN too: {h2: "
                "grpc, else: web}."},
    {"idle-timeout", OPTION_DURATION, TCP(idle_timeout), .fallback = "1h", .minimum = 0,
        .maximum = 30 * DAY,
        .help = "The longest silence, in both directions, before a connection is closed; 0s is "
                "any."},
    {"opening-timeout", OPTION_DURATION, TCP(opening_timeout), .fallback = "10s",
        .minimum = MILLISECOND, .maximum = HOUR,
        .help = "How long a PROXY header and the beginning of TLS may take."},
    {"connections-max", OPTION_INTEGER, TCP(connections_max), .fallback = "100000", .minimum = 0,
        .maximum = INT64_MAX,
        .help = "How many connections of this listener a worker holds open; further ones are "
                "closed. 0 is any number."},
    {"tls", OPTION_FLAG, TCP(tls), .fallback = "false",
        .help = "Clients speak TLS, with the certificates of `tls` at the top, and the service "
                "gets what they say in it. `sni` then goes by the name that they ask for; no "
                "protocol (ALPN) is agreed on."},
    {"proxy-protocol", OPTION_FLAG, TCP(proxy_protocol), .fallback = "false",
        .place_offset = TCP(proxy_place),
        .help = "Connections begin with a PROXY header, version 1 or 2, which says who the client "
                "is. Only peers in `trusted` are let in then."},
    {"send-proxy", OPTION_CHOICE, TCP(send_proxy), .fallback = "off", .choices = proxy_versions,
        .help = "Tell the service who the client is by a PROXY header of this version."},
    {NULL}};

static enum status check_tcp(struct reader *reader, const struct node *node, void *value)
{
    const struct tcp_options *options = value;
    bool has_to = options->to.name.size > 0, has_names = options->sni.count > 0;
    if (has_to && has_names)
        return diagnostics_error(reader->diagnostics, options->to.place,
            SLICE("write it as `else` of `sni`"), "either `to` or `sni`, not both");
    if (!has_to && !has_names)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("{to: postgres}"),
            "a TCP listener needs a service");
    return OK;
}

const struct option_table tcp_table = {.name = "TCP listener",
    .help = "TCP connections that go to a service as they are. The key is the address.",
    .options = tcp_rows,
    .size = sizeof(struct tcp_options),
    .shorthand = "to",
    .check = check_tcp,
    .example = "\":5432\": postgres"};

/* --- UDP */

#define UDP(member) offsetof(struct udp_options, member)

static const struct option udp_rows[] = {
    {"to", OPTION_TEXT, UDP(to.name), .place_offset = UDP(to.place), .is_required = true,
        .help = "The service that datagrams go to."},
    {"idle-timeout", OPTION_DURATION, UDP(idle_timeout), .fallback = "30s", .minimum = MILLISECOND,
        .maximum = DAY, .help = "The longest silence, in both directions, before a session ends."},
    {"sessions-max", OPTION_INTEGER, UDP(sessions_max), .fallback = "65536", .minimum = 1,
        .maximum = 10000000,
        .help = "How many sessions the listener has at a time; a new one takes the place of that "
                "which has been silent longest."},
    {"replies", OPTION_INTEGER, UDP(replies), .fallback = "0", .minimum = 0, .maximum = 1000000,
        .help = "How many datagrams the service sends for each of the client's. A session ends as "
                "soon as it got all of them: 1 suits DNS. 0: any number."},
    {"quic", OPTION_FLAG, UDP(quic), .fallback = "false",
        .help = "The datagrams are QUIC: a client whose address changes stays with its service, by "
                "the connection id."},
    {NULL}};

const struct option_table udp_table = {.name = "UDP listener",
    .help = "Datagrams that go to a service as they are. The key is the address. What a client "
            "sends from one port is a session and goes to one endpoint; one worker serves the "
            "listener.",
    .options = udp_rows,
    .size = sizeof(struct udp_options),
    .shorthand = "to",
    .example = "\":53\": {to: dns, replies: 1}"};
