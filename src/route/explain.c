/* Why a rule did not match: read off the rules one by one, since who asks is a person. */
#include "route/router_state.h"

#define EXPLAIN(x, ...) (arena_format(&(x)->arena, __VA_ARGS__).data)
#define MATCHES         "" /* said of a rule that matches whole */

static bool names_host(const struct rule *rule, struct arena *arena, struct slice host)
{
    if (rule->given.host_count == 0)
        return true;
    struct slice bare = slice_head(host, host.size - slice_has_suffix(host, SLICE(".")));
    for (size_t i = 0; i < rule->given.host_count; i++) {
        enum host_kind kind;
        struct slice name;
        if (host_parse(arena, rule->given.hosts[i], &kind, &name))
            continue;
        if (kind == HOST_ANY || (kind == HOST_EXACT && slice_equal(name, bare)))
            return true;
        if (kind == HOST_WILDCARD && bare.size > name.size + 1 && slice_has_suffix(bare, name) &&
            bare.data[bare.size - name.size - 1] == '.')
            return true;
    }
    return false;
}

static const char *why_not_segment(
    struct exchange *x, const struct segment *segment, unsigned number, struct slice text)
{
    struct slice shown = slice_head(text, 80);
    switch (segment->kind) {
    case SEGMENT_EXACT:
        return EXPLAIN(x, "segment %u is \"%.*s\", not \"%.*s\"", number, SLICE_ARG(shown),
            SLICE_ARG(segment->prefix));
    case SEGMENT_INT:
        return EXPLAIN(x, "segment %u, \"%.*s\", is not a number", number, SLICE_ARG(shown));
    case SEGMENT_REGEX:
        return EXPLAIN(x, "segment %u, \"%.*s\", does not match %.*s", number, SLICE_ARG(shown),
            SLICE_ARG(segment->regex_text));
    case SEGMENT_MIXED:
        return EXPLAIN(x, "segment %u, \"%.*s\", is not %.*s{%.*s}%.*s", number, SLICE_ARG(shown),
            SLICE_ARG(segment->prefix), SLICE_ARG(segment->name), SLICE_ARG(segment->suffix));
    case SEGMENT_ANY:
    case SEGMENT_REST:
        break;
    }
    return EXPLAIN(x, "segment %u is empty", number);
}

static const char *why_not_length(struct exchange *x, const struct rule *rule, struct slice rest)
{
    bool is_short = rest.size == 0;
    if (!is_short && rest.size == 1)
        return "the path has a slash at its end";
    return EXPLAIN(
        x, "the path is %s than %u segments", is_short ? "shorter" : "longer", rule->path.count);
}

/* MATCHES, the one thing that is wrong with the path, or NULL when it is more than one. */
static const char *why_not_path(struct exchange *x, const struct rule *rule)
{
    struct slice rest = x->request.path, text, capture;
    const char *why = MATCHES;
    for (unsigned i = 0; i < rule->path.count; i++) {
        const struct segment *segment = &rule->path.segments[i];
        if (segment->kind == SEGMENT_REST)
            return why;
        if (!path_next_segment(&rest, &text))
            return *why || i + 1 < rule->path.count ? NULL : why_not_length(x, rule, rest);
        if (segment_match(segment, &x->arena, text, &capture))
            continue;
        if (*why)
            return NULL;
        why = why_not_segment(x, segment, i + 1, text);
        if (!why)
            return NULL;
    }
    if (rest.size == 0)
        return why;
    bool is_one_more = slice_find(slice_from(rest, 1), '/') == rest.size - 1;
    return *why || !is_one_more ? NULL : why_not_length(x, rule, rest);
}

/* A path that differs is only near when it shares more than it lacks. */
static bool is_near(const struct rule *rule, const char *why_not_path)
{
    return why_not_path && (!*why_not_path || rule->path.count > 1);
}

static const char *why_not(struct exchange *x, const struct rule *rule)
{
    const char *path = why_not_path(x, rule);
    if (!is_near(rule, path))
        return NULL;
    bool host = names_host(rule, &x->arena, x->request.host);
    bool method =
        rule_match_method(&rule->given, x->request.method, x->request.method_text) != METHOD_NONE;
    if (!host)
        return *path || !method ? NULL
                                : EXPLAIN(x, "the host is \"%.*s\"",
                                      SLICE_ARG(slice_head(x->request.host, 255)));
    if (!method)
        return *path ? NULL
                     : EXPLAIN(x, "the method is %.*s",
                           SLICE_ARG(slice_head(x->request.method_text, 40)));
    if (*path)
        return path;
    if (rule_condition_holds(rule->given.when, x))
        return MATCHES;
    return EXPLAIN(x, "its condition does not hold: %.*s",
        SLICE_ARG(slice_head(expression_source(rule->given.when), 200)));
}

void router_explain(const struct router *router, struct exchange *x,
    void (*report)(void *argument, const struct route_rule *rule, const char *why), void *argument)
{
    void *winner = NULL;
    bool is_found = router_find(router, x, &winner) == OK;
    for (size_t i = 0; i < router->rule_count; i++) {
        const struct rule *rule = &router->rules[i];
        const char *why = why_not(x, rule);
        if (!why || (is_found && rule->given.route == winner))
            continue;
        report(argument, &rule->given, *why ? why : "a more specific route matches");
    }
}
