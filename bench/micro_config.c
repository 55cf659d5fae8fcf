/* How long the configuration takes: a file of 10,000 routes into a tree, the tree into options; and
 * how long a request takes to be asked an expression. Processor time, the best of several rounds.
 */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "config/expression.h"

#define ROUTES   10000
#define SERVICES 1000
#define ROUNDS   9
#define CALLS    200000 /* in each round */

struct route {
    struct slice to, idempotent, stream;
    struct option_list use;
    int64_t timeout, body_limit, retries, priority;
    struct rate rate;
    double share;
    bool is_buffered, is_secret;
    int slashes;
    struct expression *when;
};

struct service {
    struct option_list at;
    int64_t timeout, connections;
};

struct top {
    int64_t version;
    struct option_map services, routes;
};

static const char *const slashes[] = {"refuse", "keep", "decode", NULL};
static const struct option text_item = {.kind = OPTION_TEXT};

#define ROUTE(member)   offsetof(struct route, member)
#define SERVICE(member) offsetof(struct service, member)

static const struct option route_options[] = {
    {"to", OPTION_TEXT, ROUTE(to), .is_required = true},
    {"use", OPTION_LIST, ROUTE(use), .item = &text_item, .item_size = sizeof(struct slice)},
    {"timeout", OPTION_DURATION, ROUTE(timeout), .fallback = "30s"},
    {"body-limit", OPTION_SIZE, ROUTE(body_limit), .fallback = "10MiB"},
    {"retries", OPTION_INTEGER, ROUTE(retries), .fallback = "1", .maximum = 10},
    {"priority", OPTION_INTEGER, ROUTE(priority), .fallback = "0", .maximum = 1000},
    {"rate", OPTION_RATE, ROUTE(rate), .fallback = "1000/s"},
    {"share", OPTION_SHARE, ROUTE(share), .fallback = "100%"},
    {"buffered", OPTION_FLAG, ROUTE(is_buffered), .fallback = "false"},
    {"secret", OPTION_FLAG, ROUTE(is_secret)},
    {"idempotent", OPTION_TEXT, ROUTE(idempotent)},
    {"stream", OPTION_TEXT, ROUTE(stream)},
    {"encoded-slash", OPTION_CHOICE, ROUTE(slashes), .choices = slashes, .fallback = "refuse"},
    {"when", OPTION_EXPRESSION, ROUTE(when)},
    {NULL},
};
static const struct option_table route_table = {
    .name = "route", .options = route_options, .size = sizeof(struct route), .shorthand = "to"};

static const struct option service_options[] = {
    {"at", OPTION_LIST, SERVICE(at), .item = &text_item, .item_size = sizeof(struct slice)},
    {"timeout", OPTION_DURATION, SERVICE(timeout), .fallback = "3s"},
    {"connections", OPTION_INTEGER, SERVICE(connections), .fallback = "1024"},
    {NULL},
};
static const struct option_table service_table = {.name = "service",
    .options = service_options,
    .size = sizeof(struct service),
    .shorthand = "at"};

static const struct option top_options[] = {
    {"version", OPTION_INTEGER, offsetof(struct top, version)},
    {"services", OPTION_MAP, offsetof(struct top, services), .table = &service_table},
    {"routes", OPTION_MAP, offsetof(struct top, routes), .table = &route_table},
    {NULL},
};
static const struct option_table top_table = {
    .name = "configuration", .options = top_options, .size = sizeof(struct top)};

static void write_configuration(struct text *text)
{
    text_add_literal(text, "version: 1\nservices:\n");
    for (int i = 0; i < SERVICES; i++)
        text_format(text, "  service-%d: {at: [10.0.%d.%d:8080, 10.1.%d.%d:8080], timeout: 3s}\n",
            i, i / 250, i % 250, i / 250, i % 250);
    text_add_literal(text, "routes:\n");
    for (int i = 0; i < ROUTES; i++)
        text_format(text,
            "  GET /api/v1/tenants/%d/orders/{id}/**: {to: service-%d, timeout: 5s, body-limit: "
            "1MiB}\n",
            i, i % SERVICES);
}

static int64_t processor_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static double best(double a, double b)
{
    return a == 0 || b < a ? b : a;
}

static int measure_reading(void)
{
    struct text text = text_growing(0);
    double tree_time = 0, option_time = 0;
    size_t memory = 0;
    write_configuration(&text);
    for (int i = 0; i < ROUNDS; i++) {
        struct arena arena;
        struct diagnostics diagnostics;
        struct node *root;
        struct top top = {.version = 0};
        struct source source = {SLICE("bench.yaml"), text_slice(&text)};
        arena_init(&arena, 65536, 0);
        diagnostics_init(&diagnostics, &arena);
        int64_t begin = processor_time();
        if (tree_read(&arena, &source, NULL, &diagnostics, &root))
            return 1;
        int64_t middle = processor_time();
        struct reader reader = {.arena = &arena, .diagnostics = &diagnostics};
        if (option_read(&reader, &top_table, root, &top) || diagnostics.errors)
            return 1;
        tree_time = best(tree_time, (double)(middle - begin));
        option_time = best(option_time, (double)(processor_time() - middle));
        memory = arena.used;
        arena_release(&arena);
    }
    printf("%d routes, %zu bytes: tree %.1f ms, options %.1f ms, memory %zu KiB\n", ROUTES,
        text.size, tree_time / 1e6, option_time / 1e6, memory / 1024);
    text_release(&text);
    return 0;
}

static void add_field(struct fields *fields, const char *name, const char *value)
{
    struct slice s = slice_of_text(name);
    fields_add(fields, field_id_of(s), s, slice_of_text(value));
}

static int measure_expression(struct exchange *x, const char *source)
{
    struct arena arena;
    struct diagnostics diagnostics;
    struct expression *expression;
    struct slice text = slice_of_text(source);
    struct node node = {.kind = NODE_SCALAR, .text = text, .raw = text};
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    struct reader reader = {.arena = &arena, .diagnostics = &diagnostics};
    if (expression_compile(&reader, &node, PHASE_REQUEST, &expression))
        return 1;
    double time = 0;
    size_t hits = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = processor_time();
        for (int i = 0; i < CALLS; i++)
            hits += expression_is_true(expression, x);
        time = best(time, (double)(processor_time() - begin) / CALLS);
    }
    printf("%-50s %5.1f ns%s\n", source, time, hits ? "" : " (never true)");
    arena_release(&arena);
    return 0;
}

int main(void)
{
    struct exchange x = {.request = {.method_text = SLICE("GET"),
                             .host = SLICE("api.example"),
                             .path = SLICE("/v1/users/7"),
                             .query = SLICE("page=2")}};
    arena_init(&x.arena, 0, 0);
    fields_init(&x.request.fields, &x.arena);
    add_field(&x.request.fields, "Host", "api.example");
    add_field(&x.request.fields, "User-Agent", "bench");
    add_field(&x.request.fields, "Accept", "*/*");
    add_field(&x.request.fields, "X-Plan", "gold");
    static const char *const sources[] = {"header.user-agent == \"bench\"",
        "header.x-plan == \"gold\"", "method in [POST, PUT, GET]",
        "path starts \"/v1/\" and method == GET", "query.page == 2",
        "path matches \"^/v[0-9]+/users/\""};
    int failed = measure_reading();
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        failed |= measure_expression(&x, sources[i]);
    arena_release(&x.arena);
    return failed;
}
