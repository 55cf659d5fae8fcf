#include "policy/cors_origin.h"

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_scheme(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (!is_lower_or_digit(s.data[i]) && (i == 0 || !strchr("+-.", s.data[i])))
            return false;
    return s.size && !(s.data[0] >= '0' && s.data[0] <= '9');
}

/* A serialised host: names and addresses, [IPv6] too. Nothing that could end the host early. */
static bool is_host(struct slice s)
{
    bool is_v6 = s.size > 2 && s.data[0] == '[' && s.data[s.size - 1] == ']';
    if (is_v6)
        s = slice_of(s.data + 1, s.size - 2);
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (!is_lower_or_digit(c) && c != '.' && (is_v6 ? c != ':' : c != '-' && c != '_'))
            return false;
    }
    return s.size > 0;
}

static bool is_port(struct slice s)
{
    uint64_t port;
    return slice_to_u64(s, &port) && port > 0 && port <= 65535 && s.data[0] != '0';
}

struct origin {
    struct slice scheme, host, port;
    bool has_port; /* a colon, at least */
};

/* Takes an origin apart without looking at the parts; false when there is no "://". */
static bool split(struct slice text, struct origin *ret_origin)
{
    size_t at = slice_find_slice(text, SLICE("://"));
    if (at == text.size)
        return false;
    struct slice rest = slice_from(text, at + 3);
    struct slice after_v6 =
        rest.size && rest.data[0] == '[' ? slice_from(rest, slice_find(rest, ']')) : rest;
    size_t colon = rest.size - after_v6.size + slice_find(after_v6, ':');
    struct origin origin = {.scheme = slice_head(text, at), .host = slice_head(rest, colon)};
    origin.has_port = colon < rest.size;
    if (origin.has_port)
        origin.port = slice_of(rest.data + colon + 1, rest.size - colon - 1);
    *ret_origin = origin;
    return true;
}

static bool is_usual_port(struct slice scheme, struct slice port)
{
    return (slice_equal(scheme, SLICE("https")) && slice_equal(port, SLICE("443"))) ||
           (slice_equal(scheme, SLICE("http")) && slice_equal(port, SLICE("80")));
}

/* What is wrong with a pattern's parts, or NULL. */
static const char *problem_of(const struct origin_pattern *pattern, bool has_port)
{
    struct slice host = slice_from(pattern->host, pattern->has_any_subdomain);
    if (!is_scheme(pattern->scheme))
        return "an origin begins with a scheme in lower case: https://shop.example";
    if (slice_find(host, '/') < host.size || slice_find(pattern->port, '/') < pattern->port.size)
        return "an origin has no path and no slash at its end: https://shop.example";
    if (slice_find(host, '*') < host.size)
        return "a star stands for a whole name below another: https://*.shop.example";
    if (!is_host(host))
        return "the host of an origin is a name in lower case or an address";
    if (has_port && !is_port(pattern->port))
        return "the port of an origin is a number from 1 to 65535, or a star";
    if (is_usual_port(pattern->scheme, pattern->port))
        return "browsers leave the usual port out; leave it out too";
    return NULL;
}

enum status origin_pattern_parse(
    struct slice text, struct origin_pattern *ret_pattern, const char **ret_problem)
{
    struct origin_pattern pattern = {.scheme = SLICE_NONE};
    struct origin origin;
    if (slice_equal(text, SLICE("null"))) {
        *ret_pattern = pattern;
        return OK;
    }
    if (!split(text, &origin)) {
        *ret_problem = "an origin has a scheme and a host: https://shop.example";
        return INVALID;
    }
    pattern.scheme = origin.scheme;
    pattern.host = origin.host;
    pattern.port = origin.port;
    pattern.has_any_subdomain = slice_has_prefix(origin.host, SLICE("*."));
    if (pattern.has_any_subdomain)
        pattern.host = slice_from(pattern.host, 1);
    pattern.has_any_port = slice_equal(origin.port, SLICE("*"));
    if (pattern.has_any_port)
        pattern.port = SLICE_NONE;
    if (!pattern.has_any_subdomain && !pattern.has_any_port)
        pattern.exact = text;
    const char *problem = problem_of(&pattern, origin.has_port && !pattern.has_any_port);
    if (problem) {
        *ret_problem = problem;
        return INVALID;
    }
    *ret_pattern = pattern;
    return OK;
}

bool origin_matches(const struct origin_pattern *pattern, struct slice text)
{
    struct origin origin;
    if (pattern->scheme.size == 0)
        return slice_equal(text, SLICE("null"));
    if (pattern->exact.size)
        return slice_equal(text, pattern->exact);
    if (!split(text, &origin) || !slice_equal(origin.scheme, pattern->scheme) ||
        !is_host(origin.host) || (origin.has_port && !is_port(origin.port)))
        return false;
    if (!pattern->has_any_port && !slice_equal(origin.port, pattern->port))
        return false;
    if (!pattern->has_any_subdomain)
        return slice_equal(origin.host, pattern->host);
    return origin.host.size > pattern->host.size && origin.host.data[0] != '.' &&
           slice_has_suffix(origin.host, pattern->host);
}
