#include "proxy/target.h"

#include "http/uri.h"

#define PORT_MAX   65535
#define PORT_HTTP  80
#define PORT_HTTPS 443

/* --- reading */

#define FORM "NAME, *.NAME, NETWORK or *, and :PORT, :PORT-PORT or :*"
#define HINT                                                                              \
    SLICE("for example \"*.example.com\", \"api.example.com:8443\", \"10.0.0.0/8:*\" or " \
          "\"[fd00::/8]:443\"")

/* "host", "host:ports", "[v6]", "[v6]:ports"; an IPv6 address may stand alone. */
static bool split(struct slice text, struct slice *ret_host, struct slice *ret_ports)
{
    size_t end = slice_find(text, ':');
    struct slice rest = slice_from(text, end);
    *ret_host = slice_head(text, end);
    *ret_ports = SLICE_NONE;
    if (slice_has_prefix(text, SLICE("["))) {
        end = slice_find(text, ']');
        rest = slice_from(text, end < text.size ? end + 1 : end);
        *ret_host = slice_of(text.data + 1, end - 1);
        if (end == text.size)
            return false;
    } else if (rest.size > 1 && slice_find(slice_from(rest, 1), ':') < rest.size - 1) {
        *ret_host = text;
        return true;
    }
    if (rest.size == 0)
        return true;
    *ret_ports = slice_from(rest, 1);
    return rest.data[0] == ':' && ret_ports->size > 0;
}

static bool read_port(struct slice text, uint16_t *ret_port)
{
    uint64_t port;
    if (!slice_to_u64(text, &port) || port == 0 || port > PORT_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool read_ports(struct slice text, struct proxy_pattern *pattern)
{
    size_t dash = slice_find(text, '-');
    if (text.size == 0)
        return true;
    if (slice_equal(text, SLICE("*"))) {
        pattern->first_port = 1;
        pattern->last_port = PORT_MAX;
        return true;
    }
    return read_port(slice_head(text, dash), &pattern->first_port) &&
           read_port(dash < text.size ? slice_from(text, dash + 1) : text, &pattern->last_port) &&
           pattern->first_port <= pattern->last_port;
}

static bool is_network(struct slice text)
{
    struct address ignored;
    return slice_find(text, '/') < text.size || !address_parse_ip(text, 0, &ignored) ||
           slice_equal(text, SLICE("private")) || slice_equal(text, SLICE("loopback"));
}

static enum status read_networks(
    struct reader *reader, const struct node *node, struct slice text, struct network_list *list)
{
    static const struct option networks = {.name = "to", .kind = OPTION_NETWORKS};
    struct node part = *node;
    part.text = text;
    size_t errors = reader->diagnostics->errors;
    enum status e = option_read_value(reader, &networks, &part, list);
    return e || reader->diagnostics->errors == errors ? e : INVALID;
}

/* Names are made as those of requests are. */
static enum status read_name(
    struct reader *reader, const struct node *node, struct slice text, struct slice *ret_name)
{
    uint16_t port;
    enum status e = uri_parse_authority(reader->arena, text, ret_name, &port);
    if (!e && slice_has_suffix(*ret_name, SLICE(".")))
        ret_name->size--;
    if (e != BAD_HOST)
        return e;
    return diagnostics_error(reader->diagnostics, node->place, HINT, "\"%.*s\" is not a host",
        SLICE_ARG(slice_head(node->text, 200)));
}

static enum status read_host(struct reader *reader, const struct node *node, struct slice text,
    struct proxy_pattern *pattern)
{
    pattern->kind = PROXY_ANY;
    if (slice_equal(text, SLICE("*")))
        return OK;
    if (is_network(text)) {
        pattern->kind = PROXY_NETWORKS;
        return read_networks(reader, node, text, &pattern->networks);
    }
    bool is_below = slice_has_prefix(text, SLICE("*."));
    pattern->kind = is_below ? PROXY_BELOW : PROXY_NAME;
    return read_name(reader, node, slice_from(text, is_below ? 2 : 0), &pattern->name);
}

static enum status read_target(struct reader *reader, const struct node *node, void *ret_value)
{
    struct proxy_pattern pattern = {.kind = PROXY_ANY, .text = node->text};
    struct slice host, ports;
    if (node->kind != NODE_SCALAR)
        return diagnostics_error(reader->diagnostics, node->place, HINT, "a target is text, not %s",
            node_kind_name(node));
    if (!split(node->text, &host, &ports) || host.size == 0)
        return diagnostics_error(reader->diagnostics, node->place, HINT, "\"%.*s\" is not a target",
            SLICE_ARG(slice_head(node->text, 200)));
    if (!read_ports(ports, &pattern))
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("a port is a number up to 65535; 8000-8999 is several, * is any"),
            "\"%.*s\" is not a port", SLICE_ARG(slice_head(ports, 200)));
    enum status e = read_host(reader, node, host, &pattern);
    if (!e)
        *(struct proxy_pattern *)ret_value = pattern;
    return e;
}

const struct option proxy_target_option = {"target", OPTION_CUSTOM, 0, .read = read_target,
    .form = FORM, .schema = "{\"type\":\"string\"}", .help = "A name or network with ports."};

/* --- asking */

static bool has_port(const struct proxy_pattern *pattern, const struct proxy_target *target)
{
    if (pattern->first_port)
        return pattern->first_port <= target->port && target->port <= pattern->last_port;
    return target->port == PORT_HTTPS || (target->port == PORT_HTTP && !target->is_tunnel);
}

static bool is_below(struct slice host, struct slice name)
{
    return host.size > name.size + 1 && slice_has_suffix(host, name) &&
           host.data[host.size - name.size - 1] == '.';
}

static bool has_name(const struct proxy_pattern *pattern, struct slice host)
{
    switch (pattern->kind) {
    case PROXY_ANY:
        return true;
    case PROXY_NAME:
        return slice_equal(pattern->name, host);
    case PROXY_BELOW:
        return is_below(host, pattern->name);
    case PROXY_NETWORKS:
        break;
    }
    return false;
}

static bool is_digits(struct slice text, bool is_hexadecimal)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!(c >= '0' && c <= '9') && !(is_hexadecimal && c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

/* What no address is, but some would take for one: "2130706433", "127.1", "0x7f.0.0.1". No name of
 * the DNS ends in a number. */
static bool is_odd_number(struct slice host)
{
    struct address ignored;
    size_t at = host.size;
    while (at > 0 && host.data[at - 1] != '.')
        at--;
    struct slice last = slice_from(host, at);
    bool is_hexadecimal = slice_has_prefix(last, SLICE("0x"));
    bool is_number = is_digits(is_hexadecimal ? slice_from(last, 2) : last, is_hexadecimal);
    return is_number && address_parse_ip(host, 0, &ignored);
}

enum proxy_leave proxy_targets_look(
    const struct option_list *targets, const struct proxy_target *target)
{
    const struct proxy_pattern *patterns = targets->items;
    enum proxy_leave leave = PROXY_NEVER;
    if (is_odd_number(target->host))
        return PROXY_NEVER;
    for (size_t i = 0; i < targets->count; i++) {
        if (!has_port(&patterns[i], target))
            continue;
        if (has_name(&patterns[i], target->host))
            return PROXY_BY_NAME;
        if (patterns[i].kind == PROXY_NETWORKS)
            leave = PROXY_BY_ADDRESS;
    }
    return leave;
}

static bool has_address(const struct proxy_pattern *pattern, const struct address *address)
{
    for (size_t i = 0; i < pattern->networks.count; i++)
        if (network_contains(&pattern->networks.items[i], address))
            return true;
    return false;
}

bool proxy_targets_have(const struct option_list *targets, const struct proxy_target *target,
    const struct address *address)
{
    const struct proxy_pattern *patterns = targets->items;
    for (size_t i = 0; i < targets->count; i++)
        if (has_port(&patterns[i], target) && has_address(&patterns[i], address))
            return true;
    return false;
}

bool proxy_targets_mean(const struct option_list *targets, const struct address *address)
{
    const struct proxy_pattern *patterns = targets->items;
    uint16_t port = address_port(address);
    for (size_t i = 0; i < targets->count; i++) {
        const struct proxy_pattern *pattern = &patterns[i];
        if (pattern->networks.count == 1 && pattern->networks.items[0].bits == 128 &&
            pattern->first_port == port && pattern->last_port == port &&
            has_address(pattern, address))
            return true;
    }
    return false;
}
