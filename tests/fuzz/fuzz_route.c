/* Routes and a path to find among them, a line each, the path last: what the router finds must
 * match when it is compared segment by segment, nothing that matches may be more specific, and when
 * it finds nothing, nothing may match. */
#include "base/must.h"
#include "http/uri.h"
#include "route/path_pattern.h"
#include "route/router.h"

#define RULES_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rules {
    struct route_rule given[RULES_MAX];
    struct path_pattern paths[RULES_MAX];
    size_t count;
};

static bool matches(const struct path_pattern *pattern, struct arena *arena, struct slice path)
{
    struct slice text, capture;
    for (unsigned i = 0; i < pattern->count; i++) {
        if (pattern->segments[i].kind == SEGMENT_REST)
            return true;
        if (!path_next_segment(&path, &text) ||
            !segment_match(&pattern->segments[i], arena, text, &capture))
            return false;
    }
    return path.size == 0;
}

/* Of two patterns that match the same path; one that has ended stands against "**". */
static int compare(const struct path_pattern *a, const struct path_pattern *b)
{
    for (unsigned i = 0; i < a->count && i < b->count; i++) {
        int order = segment_compare(&a->segments[i], &b->segments[i]);
        if (order)
            return order;
    }
    return a->count == b->count ? 0 : a->count < b->count ? -1 : 1;
}

static void check(const struct rules *rules, struct exchange *x, const struct path_pattern *found)
{
    for (size_t i = 0; i < rules->count; i++)
        if (matches(&rules->paths[i], &x->arena, x->request.path))
            must(found && compare(found, &rules->paths[i]) <= 0);
    must(!found || matches(found, &x->arena, x->request.path));
}

static void find(const struct router *router, const struct rules *rules, struct slice path)
{
    struct exchange x = {.request = {.method = METHOD_GET, .method_text = SLICE("GET")}};
    void *route = NULL;
    arena_init(&x.arena, 0, 0);
    fields_init(&x.response.fields, &x.arena);
    if (uri_normalise_path(&x.arena, path, ENCODED_SLASH_KEEP, &x.request.path) == OK) {
        enum status e = router_find(router, &x, &route);
        must(e == OK || e == NO_ROUTE);
        must(x.parameter_count <= PATH_PARAMETERS_MAX);
        check(rules, &x, e ? NULL : route);
    }
    arena_release(&x.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rules rules;
    struct slice rest = slice_of((const char *)data, size), line, path = SLICE_NONE;
    struct arena arena;
    struct diagnostics diagnostics;
    const struct router *router;
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    struct reader reader = {.arena = &arena, .diagnostics = &diagnostics};
    memset(&rules, 0, sizeof rules);
    while (slice_split(&rest, '\n', &line)) {
        if (path.data && rules.count < RULES_MAX &&
            path_pattern_parse(&reader, (struct place){0}, path, &rules.paths[rules.count]) == OK) {
            rules.given[rules.count].path = path;
            rules.given[rules.count].route = &rules.paths[rules.count];
            rules.count++;
        }
        path = line;
    }
    size_t errors = diagnostics.errors;
    enum status e = router_build(&reader, rules.given, rules.count, &router);
    must((e == OK) == (diagnostics.errors == errors));
    if (!e && path.data)
        find(router, &rules, path);
    arena_release(&arena);
    return 0;
}
