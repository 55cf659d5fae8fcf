#include <stdio.h>

#include "base/json.h"
#include "main/arguments.h"
#include "main/control.h"
#include "main/service_words.h"

static void print_listeners(const struct json_value *root)
{
    const struct json_value *listeners = json_get(root, SLICE("listeners"));
    if (!listeners)
        return;
    json_each (one, listeners) {
        size_t count = 0;
        printf("  listens on %.*s", SLICE_ARG(json_text_of(one, "address")));
        json_each (target, json_get(one, SLICE("forward_proxy")))
            printf("%s%.*s", count++ ? ", " : ", takes clients to ", SLICE_ARG(target->text));
        putchar('\n');
    }
}

static void print_certificates(const struct json_value *root)
{
    const struct json_value *certificates = json_get(root, SLICE("certificates"));
    if (!certificates)
        return;
    json_each (one, certificates) {
        struct slice stapled = json_text_of(one, "ocsp_until"),
                     problem = json_text_of(one, "ocsp_problem");
        printf("  certificate %.*s, until %.*s", SLICE_ARG(json_text_of(one, "file")),
            SLICE_ARG(json_text_of(one, "until")));
        if (stapled.size)
            printf(", OCSP until %.*s", SLICE_ARG(stapled));
        if (problem.size)
            printf("  (%.*s)", SLICE_ARG(problem));
        putchar('\n');
    }
}

static void print_acme(const struct json_value *root)
{
    const struct json_value *names = json_get(root, SLICE("acme"));
    if (!names)
        return;
    json_each (one, names) {
        struct slice state = json_text_of(one, "state"), next = json_text_of(one, "next"),
                     problem = json_text_of(one, "problem");
        bool is_good = slice_equal(state, SLICE("good"));
        printf("  acme %.*s: %.*s", SLICE_ARG(json_text_of(one, "name")), SLICE_ARG(state));
        if (next.size)
            printf(is_good ? ", renewed %.*s" : ", tried again %.*s", SLICE_ARG(next));
        if (problem.size)
            printf("  (%.*s)", SLICE_ARG(problem));
        putchar('\n');
    }
}

/* "redis 10.0.0.5:6379: up, 4 connections" */
static void print_store(const struct json_value *root, const char *name)
{
    const struct json_value *store = json_get(root, slice_of_text(name));
    if (!store || store->type != JSON_OBJECT)
        return;
    struct slice trouble = json_text_of(store, "trouble");
    printf("  %s %.*s: %.*s, connections: %lld", name, SLICE_ARG(json_text_of(store, "at")),
        SLICE_ARG(json_text_of(store, "state")), number_member(store, "connections"));
    if (trouble.size)
        printf("  (%.*s)", SLICE_ARG(trouble));
    putchar('\n');
}

static void print_modules(const struct json_value *root)
{
    const struct json_value *modules = json_get(root, SLICE("modules"));
    if (!modules)
        return;
    json_each (one, modules)
        printf("  module %.*s, with %.*s\n", SLICE_ARG(json_text_of(one, "name")),
            SLICE_ARG(json_text_of(one, "library")));
}

/* Unless it is empty. */
static void print_pair(const char *format, struct slice value)
{
    if (value.size)
        printf(format, SLICE_ARG(value));
}

/* A number as it is written; empty: there is none. */
static struct slice digits_of(const struct json_value *object, const char *key)
{
    const struct json_value *value = json_get(object, slice_of_text(key));
    return value && value->type == JSON_NUMBER ? value->text : SLICE_NONE;
}

/* As far as it is not 1. */
static void print_weight(const struct json_value *endpoint)
{
    struct slice weight = digits_of(endpoint, "weight"), now = digits_of(endpoint, "weight_now");
    if (now.size)
        printf(", weight %.*s of %.*s", SLICE_ARG(now), SLICE_ARG(weight));
    else if (!slice_equal(weight, SLICE("1")))
        print_pair(", weight %.*s", weight);
    print_pair(", at most %.*s in flight", digits_of(endpoint, "limit"));
    print_pair(", utilization %.*s", digits_of(endpoint, "utilization"));
}

static void print_endpoint(const struct json_value *endpoint)
{
    printf("    %-28.*s %-10.*s %lld in flight, %lld requests, %lld failures",
        SLICE_ARG(json_text_of(endpoint, "address")), SLICE_ARG(json_text_of(endpoint, "state")),
        number_member(endpoint, "in_flight"), number_member(endpoint, "requests"),
        number_member(endpoint, "failures"));
    if (number_member(endpoint, "tier"))
        printf(", tier %lld", number_member(endpoint, "tier"));
    print_pair(", %.*s", json_text_of(endpoint, "region"));
    print_pair(", zone %.*s", json_text_of(endpoint, "zone"));
    print_weight(endpoint);
    char room[64];
    struct text breaker = text_fixed(room, sizeof room);
    breaker_words(endpoint, &breaker);
    print_pair(", breaker %.*s", text_slice(&breaker));
    struct slice since = json_text_of(endpoint, "history");
    if (since.size)
        printf("  (%.*s)", SLICE_ARG(since));
    putchar('\n');
}

static void print_sources(const struct json_value *service)
{
    const struct json_value *sources = json_get(service, SLICE("sources"));
    if (!sources)
        return;
    json_each (one, sources) {
        struct slice trouble = json_text_of(one, "trouble");
        printf("    found by %.*s: %.*s, %lld endpoint%s", SLICE_ARG(json_text_of(one, "source")),
            SLICE_ARG(json_text_of(one, "state")), number_member(one, "endpoints"),
            number_member(one, "endpoints") == 1 ? "" : "s");
        if (trouble.size)
            printf("  (%.*s)", SLICE_ARG(trouble));
        putchar('\n');
    }
}

static void print_mirror(const struct json_value *service)
{
    const struct json_value *mirror = json_get(service, SLICE("mirror"));
    if (mirror)
        printf(", %.4g%% mirrored to %.*s", double_member(mirror, "share") * 100,
            SLICE_ARG(json_text_of(mirror, "to")));
}

/* "v2   0%, 10% in the file, out since 2026-11-21T12:03:11Z: …" */
static void print_version(const struct json_value *version)
{
    const struct json_value *verdict = json_get(version, SLICE("verdict"));
    const struct json_value *judged = json_get(version, SLICE("judged"));
    double share = double_member(version, "share"), written = double_member(version, "file_share");
    printf("    %-28.*s %.4g%%", SLICE_ARG(json_text_of(version, "name")), share * 100);
    if (share < written - 1e-9 || share > written + 1e-9)
        printf(", %.4g%% in the file", written * 100);
    print_pair(", when %.*s", json_text_of(version, "when"));
    if (judged)
        printf(", %lld of %lld failed, p99 %.4g ms", number_member(judged, "failures"),
            number_member(judged, "requests"), double_member(judged, "p99_seconds") * 1000);
    if (verdict) {
        print_pair(", out since %.*s", json_text_of(verdict, "since"));
        print_pair(": %.*s", json_text_of(verdict, "why"));
    }
    putchar('\n');
}

static void print_versions(const struct json_value *service)
{
    const struct json_value *shift = json_get(service, SLICE("shift"));
    printf("  service %.*s, in versions", SLICE_ARG(json_text_of(service, "name")));
    print_pair(", users by %.*s", json_text_of(service, "stay"));
    print_mirror(service);
    if (shift) {
        print_pair(", shifted at %.*s", json_text_of(shift, "time"));
        print_pair(" by %.*s", json_text_of(shift, "by"));
    }
    putchar('\n');
    json_each (version, json_get(service, SLICE("versions")))
        print_version(version);
}

/* What is sent once more, under that name, and how much of the budget for it is used. */
static const struct json_value *print_budget(
    const struct json_value *service, const char *name, const char *counted)
{
    const struct json_value *budget = json_get(service, slice_of_text(name));
    if (!budget)
        return NULL;
    printf("    %s %.*s", name, SLICE_ARG(json_text_of(budget, "policy")));
    printf(", %lld of %lld requests in 10 s, %lld under way\n", number_member(budget, counted),
        number_member(budget, "requests"), number_member(budget, "running"));
    return budget;
}

static void print_hedge(const struct json_value *service)
{
    const struct json_value *hedge = print_budget(service, "hedge", "hedges");
    const struct json_value *routes = hedge ? json_get(hedge, SLICE("routes")) : NULL;
    if (!routes)
        return;
    json_each (route, routes) {
        double after = double_member(route, "after_seconds");
        printf("      %-26.*s p%.6g", SLICE_ARG(json_text_of(route, "route")),
            double_member(route, "percentile"));
        if (after > 0)
            printf(" %.3g ms\n", after * 1000);
        else
            printf(" not known yet\n");
    }
}

/* How it is now, where that is not as usual, and what the file says of it. */
static void print_state(const struct json_value *service)
{
    struct text text = text_growing(0);
    service_words(service, &text);
    print_pair("    %.*s\n", text_slice(&text));
    text_clear(&text);
    json_each (one, json_get(service, SLICE("settings")))
        text_format(&text, "%s%.*s: %.*s", text.size ? "; " : "", SLICE_ARG(one->key),
            SLICE_ARG(one->text));
    print_pair("    as written: %.*s\n", text_slice(&text));
    text_release(&text);
}

static void print_services(const struct json_value *root)
{
    const struct json_value *services = json_get(root, SLICE("services"));
    if (!services)
        return;
    json_each (service, services) {
        if (json_get(service, SLICE("versions"))) {
            print_versions(service);
            continue;
        }
        printf("  service %.*s, %.*s", SLICE_ARG(json_text_of(service, "name")),
            SLICE_ARG(json_text_of(service, "balance")));
        print_pair(" %.*s", json_text_of(service, "key"));
        print_pair(", subset by %.*s", json_text_of(service, "subset"));
        print_pair(", zone %.*s", json_text_of(service, "zone"));
        print_pair(", sticky by %.*s", json_text_of(service, "sticky"));
        print_mirror(service);
        bool panics = false;
        if (json_get_bool(service, SLICE("panics"), &panics) && panics)
            printf(", too few are well: all are asked");
        putchar('\n');
        print_state(service);
        print_sources(service);
        (void)print_budget(service, "retry", "retries");
        print_hedge(service);
        const struct json_value *endpoints = json_get(service, SLICE("endpoints"));
        if (endpoints)
            json_each (endpoint, endpoints)
                print_endpoint(endpoint);
    }
}

static void print_trouble(const struct json_value *thing)
{
    struct slice trouble = json_text_of(thing, "trouble");
    if (trouble.size)
        printf(", trouble: %.*s", SLICE_ARG(trouble));
    putchar('\n');
}

static void print_keyrings(const struct json_value *root)
{
    json_each (ring, json_get(root, SLICE("keyrings"))) {
        const struct json_value *keys = json_get(ring, SLICE("keys"));
        struct slice fetched = json_text_of(ring, "fetched");
        printf("  keys of %.*s: %zu, fetched %.*s", SLICE_ARG(json_text_of(ring, "source")),
            keys ? keys->count : 0, SLICE_ARG(fetched.size ? fetched : SLICE("never")));
        print_trouble(ring);
    }
}

/* What identity rests on: keys of issuers, files of consumers and users. */
static void print_identity(const struct json_value *root)
{
    print_keyrings(root);
    json_each (file, json_get(root, SLICE("files"))) {
        printf("  %.*s in %.*s: ", SLICE_ARG(json_text_of(file, "of")),
            SLICE_ARG(json_text_of(file, "file")));
        if (json_get(file, SLICE("entries")))
            printf("%lld, ", number_member(file, "entries"));
        printf("read %.*s", SLICE_ARG(json_text_of(file, "loaded")));
        print_trouble(file);
    }
    json_each (pool, json_get(root, SLICE("password_pool")))
        printf("  passwords: %lld being checked, %lld of %lld wait\n", number_member(pool, "busy"),
            number_member(pool, "waiting"), number_member(pool, "waiting_max"));
    json_each (recall, json_get(root, SLICE("recalls")))
        printf("  remembered by %.*s of %.*s: %lld\n", SLICE_ARG(json_text_of(recall, "of")),
            SLICE_ARG(json_text_of(recall, "at")), number_member(recall, "entries"));
}

/* Only of a gateway that was ever upgraded. */
static void print_lineage(const struct json_value *root)
{
    long long upgrades = number_member(root, "upgrades"), old = number_member(root, "predecessor");
    if (upgrades)
        printf("  after %lld upgrade%s", upgrades, upgrades == 1 ? "" : "s");
    if (upgrades && old)
        printf("; process %lld still drains", old);
    if (upgrades)
        putchar('\n');
}

static int print_status(struct arena *arena, struct slice body)
{
    struct json_value *root;
    if (json_parse(arena, body, NULL, &root, NULL)) {
        fprintf(stderr, "weir: the gateway's answer is not JSON\n");
        return EXIT_FAILED;
    }
    const struct json_value *config = json_get(root, SLICE("config"));
    printf("weir %.*s, process %lld, %.*s, %lld workers\n",
        SLICE_ARG(json_text_of(root, "version")), number_member(root, "pid"),
        SLICE_ARG(json_text_of(root, "state")), number_member(root, "workers"));
    printf("  %.*s, generation %lld, loaded %.*s, %lld routes\n",
        SLICE_ARG(json_text_of(config, "path")), number_member(config, "generation"),
        SLICE_ARG(json_text_of(config, "loaded")), number_member(config, "routes"));
    print_lineage(root);
    print_listeners(root);
    print_certificates(root);
    print_acme(root);
    print_store(root, "redis");
    print_store(root, "postgres");
    print_modules(root);
    print_identity(root);
    print_services(root);
    return EXIT_DONE;
}

static int show(struct arena *arena, const char *control, bool json)
{
    struct control_answer answer;
    int code = control_ask(arena, control,
        &(struct control_question){.method = "GET", .target = "/v1/status"}, &answer);
    if (code)
        return code;
    if (json)
        printf("%.*s", SLICE_ARG(answer.body));
    else
        code = print_status(arena, answer.body);
    return code;
}

static int run(int count, char **words)
{
    const char *control = NULL;
    bool json = false;
    const struct argument taken[] = {
        {.name = "--control", .value = &control}, {.name = "--json", .flag = &json}, {0}};
    int code = arguments_read(&status_command, count, words, taken);
    if (code)
        return code;
    struct arena arena;
    arena_init(&arena, 0, 0);
    code = show(&arena, control, json);
    arena_release(&arena);
    return code;
}

static const char *const options[] = {"--control", "--json", NULL};

const struct command status_command = {.name = "status",
    .arguments = "[--control SOCKET] [--json]",
    .summary = "Shows a running gateway: listeners, services, endpoints and their health.",
    .options = options,
    .run = run};
