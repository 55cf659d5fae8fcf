#include "service/discovery.h"
#include "service/service_options.h"

#include <ctype.h>

/* What may stand before a host, and the port that it stands for. */
struct scheme {
    struct slice prefix;
    uint16_t port;
    bool is_tls, is_h2c;
};

static const struct scheme schemes[] = {
    {SLICE_INIT("http://"), 80, false, false},
    {SLICE_INIT("h2c://"), 80, false, true},
    {SLICE_INIT("https://"), 443, true, false},
};

static bool is_name(struct slice name)
{
    bool has_letter = false;
    for (size_t i = 0; i < name.size; i++) {
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a name with a size has bytes
        unsigned char c = (unsigned char)name.data[i];
        if (!isalnum(c) && c != '-' && c != '_' && c != '.')
            return false;
        has_letter = has_letter || isalpha(c);
    }
    /* What looks like an address but is none (10.0.0.300) is no name either. */
    return has_letter && name.size <= 253 && name.data[0] != '.' && name.data[0] != '-';
}

static enum status parse_name(
    struct slice text, uint16_t default_port, struct endpoint_place *place, const char **problem)
{
    size_t colon = slice_find(text, ':');
    uint64_t port = default_port;
    if (colon == text.size && !default_port) {
        *problem = "an endpoint needs a port: user.internal:8080";
        return INVALID;
    }
    if (colon < text.size &&
        (!slice_to_u64(slice_from(text, colon + 1), &port) || port == 0 || port > 65535)) {
        *problem = "a port is a number from 1 to 65535";
        return INVALID;
    }
    place->name = slice_head(text, colon);
    place->port = (uint16_t)port;
    place->source = &dns_discovery;
    if (is_name(place->name))
        return OK;
    *problem =
        "neither an address nor a host name: 10.0.0.1:80, [::1]:80, user.internal:80, unix:/path";
    return INVALID;
}

static bool is_socket_address(struct slice text, uint16_t default_port, struct address *address)
{
    if (address_parse(text, address) == OK)
        return true;
    if (!default_port)
        return false;
    bool is_bracketed = slice_has_prefix(text, SLICE("[")) && slice_has_suffix(text, SLICE("]"));
    struct slice ip = is_bracketed ? slice_of(text.data + 1, text.size - 2) : text;
    return address_parse_ip(ip, default_port, address) == OK;
}

static const struct scheme *scheme_of(struct slice text)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (slice_has_prefix(text, schemes[i].prefix))
            return &schemes[i];
    return NULL;
}

/* Only its kind knows what stands behind the scheme. */
static enum status parse_source(
    struct slice text, struct endpoint_place *ret_place, const char **ret_problem)
{
    struct endpoint_place place = {.text = text};
    place.source = discovery_of(text, &place.source_rest);
    if (!place.source) {
        *ret_problem = "only http://, https://, h2c:// and sources of endpoints are known: "
                       "https://user.internal:8443";
        return INVALID;
    }
    if (!place.source_rest.size) {
        *ret_problem = "something is missing behind the scheme";
        return INVALID;
    }
    *ret_place = place;
    return OK;
}

enum status endpoint_place_parse(
    struct slice text, struct endpoint_place *ret_place, const char **ret_problem)
{
    struct endpoint_place place = {.text = text};
    struct slice rest = text;
    const struct scheme *scheme = scheme_of(text);
    uint16_t port = scheme ? scheme->port : 0; /* by default; 0: it must be written */
    if (scheme) {
        rest = slice_from(text, scheme->prefix.size);
        if (slice_has_suffix(rest, SLICE("/")))
            rest.size--;
        place.text = rest;
        place.is_tls = scheme->is_tls;
        place.is_clear = !scheme->is_tls;
        place.is_h2c = scheme->is_h2c;
    } else if (slice_find_slice(text, SLICE("://")) < text.size) {
        return parse_source(text, ret_place, ret_problem);
    }
    if (slice_find(rest, '/') < rest.size && !slice_has_prefix(rest, SLICE("unix:"))) {
        *ret_problem = "an endpoint has no path";
        return INVALID;
    }
    if (rest.size == 0 || slice_has_prefix(rest, SLICE(":"))) {
        *ret_problem = "an endpoint needs a host: 127.0.0.1:8080";
        return INVALID;
    }
    if (!is_socket_address(rest, port, &place.address)) {
        enum status e = parse_name(rest, port, &place, ret_problem);
        if (e)
            return e;
    } else if (place.address.any.sa_family != AF_UNIX && address_port(&place.address) == 0) {
        *ret_problem = "a port is a number from 1 to 65535";
        return INVALID;
    }
    *ret_place = place;
    return OK;
}
