/* Origins and patterns for them, "pattern newline origin": an exact pattern matches itself alone,
 * and what a star stands for is never more than a piece of a host name or a port. */
#include "base/must.h"
#include "policy/cors_origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_match(const struct origin_pattern *pattern, struct slice origin)
{
    must(slice_has_prefix(origin, pattern->scheme));
    struct slice rest = slice_from(origin, pattern->scheme.size);
    must(slice_has_prefix(rest, SLICE("://")));
    rest = slice_from(rest, 3);
    for (size_t i = 0; i < rest.size; i++) {
        char c = rest.data[i];
        must(c > ' ' && c < 0x7f && !strchr("/?#@\\*", c));
    }
    must(slice_find_slice(rest, pattern->host) < rest.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    size_t line = slice_find(input, '\n');
    struct slice text = slice_head(input, line), origin = slice_from(input, line + 1);
    struct origin_pattern pattern;
    const char *problem = NULL;
    if (origin_pattern_parse(text, &pattern, &problem)) {
        must(problem != NULL);
        return 0;
    }
    bool is_exact = !pattern.has_any_subdomain && !pattern.has_any_port;
    must(!is_exact || origin_matches(&pattern, text));
    if (!origin_matches(&pattern, origin))
        return 0;
    must(!is_exact || slice_equal(origin, text));
    if (pattern.scheme.size)
        check_match(&pattern, origin);
    return 0;
}
