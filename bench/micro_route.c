/* micro_route: what a look-up in the router costs, and building it, with 10, 1,000 and 100,000
 * routes.
 *
 * Routes are "/api/<area>/<thing>/{id}", a third of them exact in the last segment; the paths asked
 * for are spread over all of them in an order that the caches cannot guess. Prints one line a size.
 */
#include "route/router.h"

#include "base/clock.h"
#include "base/must.h"
#include "base/random.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#define LOOKUPS 2000000
#define PATHS   4096

struct bench {
    struct arena arena;
    struct reader reader;
    struct diagnostics diagnostics;
    struct slice *paths; /* PATHS of them */
    const struct router *router;
};

static void make_routes(struct bench *b, struct route_rule *rules, size_t count)
{
    size_t things = count < 100 ? count : 100;
    for (size_t i = 0; i < count; i++) {
        const char *last = i % 3 ? "{id}" : "list";
        rules[i] = (struct route_rule){.route = rules, .methods = {METHOD_GET}, .method_count = 1};
        rules[i].path =
            arena_format(&b->arena, "/api/area%zu/thing%zu/%s", i / things, i % things, last);
    }
    struct random random = {{1, 2, 3, 4}};
    for (size_t i = 0; i < PATHS; i++) {
        size_t route = random_below(&random, count);
        b->paths[i] = arena_format(&b->arena, "/api/area%zu/thing%zu/%s", route / things,
            route % things, route % 3 ? "4711" : "list");
    }
}

/* CPU time of this thread, nanoseconds: the machine may be doing other things as well. */
static int64_t cpu_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static double look_up(struct bench *b, struct exchange *x)
{
    int64_t begin = cpu_now();
    for (size_t i = 0; i < LOOKUPS; i++) {
        void *route;
        x->request.path = b->paths[i % PATHS];
        must(router_find(b->router, x, &route) == OK);
    }
    return (double)(cpu_now() - begin) / LOOKUPS;
}

static void measure(size_t count)
{
    struct bench b = {0};
    arena_init(&b.arena, 1 << 20, 0);
    diagnostics_init(&b.diagnostics, &b.arena);
    b.reader = (struct reader){.arena = &b.arena, .diagnostics = &b.diagnostics};
    b.paths = arena_array(&b.arena, PATHS, sizeof *b.paths);
    struct route_rule *rules = arena_array(&b.arena, count, sizeof *rules);
    must(b.paths && rules);
    make_routes(&b, rules, count);

    size_t before = b.arena.used + mallinfo2().uordblks + mallinfo2().hblkhd;
    size_t taken = b.arena.used;
    int64_t begin = cpu_now();
    must(router_build(&b.reader, rules, count, &b.router) == OK);
    double build_ms = (double)(cpu_now() - begin) / (double)MILLISECOND;
    size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd + taken - before;

    struct exchange x = {0};
    arena_init(&x.arena, 0, 0);
    x.request.method = METHOD_GET;
    x.request.method_text = SLICE("GET");
    x.request.host = SLICE("api.example");
    look_up(&b, &x);
    printf("%7zu routes: %6.1f ns a look-up, built in %7.2f ms, %4zu bytes a route\n", count,
        look_up(&b, &x), build_ms, bytes / count);
    arena_release(&x.arena);
    arena_release(&b.arena);
}

int main(void)
{
    measure(10);
    measure(1000);
    measure(10000);
    measure(100000);
    return 0;
}
