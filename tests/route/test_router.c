#include "route/router.h"

#include "base/must.h"
#include "support/unit.h"

#include <stdio.h>

#define RULES_MAX 32

/* One router, built from lines such as "GET|HEAD host.example/path ? header.x-a": hosts separated
 * by commas before the path, a condition behind "?". What a look-up yields is the line that won. */
struct fixture {
    struct arena arena;
    struct diagnostics diagnostics;
    struct reader reader;
    struct source source;
    struct route_rule rules[RULES_MAX];
    size_t count;
    const struct router *router;
    enum status built;
    struct exchange x;
    struct slice allow;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    arena_init(&f->arena, 0, 0);
    arena_init(&f->x.arena, 0, 0);
    diagnostics_init(&f->diagnostics, &f->arena);
    f->source = (struct source){SLICE("test.yaml"), SLICE("routes:\n")};
    f->reader = (struct reader){.arena = &f->arena, .diagnostics = &f->diagnostics};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->x.arena);
    arena_release(&f->arena);
    test_free(f);
    return 0;
}

static void read_methods(struct route_rule *rule, struct slice methods)
{
    struct slice name;
    while (slice_split(&methods, '|', &name)) {
        enum http_method method = http_method_of(name);
        if (method == METHOD_OTHER)
            rule->other_method = name;
        else
            rule->methods[rule->method_count++] = method;
    }
}

static void read_hosts(struct fixture *f, struct route_rule *rule, struct slice hosts)
{
    struct slice *list = arena_array(&f->arena, 8, sizeof *list);
    must(list);
    rule->hosts = list;
    while (hosts.size && slice_split(&hosts, ',', &list[rule->host_count]))
        rule->host_count++;
}

static const struct expression *read_condition(struct fixture *f, struct slice text)
{
    struct node node = {.kind = NODE_SCALAR, .text = text, .place = {&f->source, 1, 1, 1}};
    struct expression *expression = NULL;
    assert_ok(expression_compile(&f->reader, &node, PHASE_REQUEST, &expression));
    return expression;
}

static struct route_rule *add(struct fixture *f, const char *line)
{
    struct route_rule *rule = &f->rules[f->count++];
    struct slice rest = slice_of_text(line);
    if (slice_find(rest, ' ') < slice_find(rest, '/')) {
        read_methods(rule, slice_head(rest, slice_find(rest, ' ')));
        rest = slice_from(rest, slice_find(rest, ' ') + 1);
    }
    read_hosts(f, rule, slice_head(rest, slice_find(rest, '/')));
    rest = slice_from(rest, slice_find(rest, '/'));
    size_t condition = slice_find_slice(rest, SLICE(" ? "));
    rule->path = slice_head(rest, condition);
    if (condition < rest.size) {
        rule->when = read_condition(f, slice_from(rest, condition + 3));
        rule->condition_weight = 1;
    }
    rule->place = (struct place){&f->source, (uint32_t)f->count, 1, 1};
    rule->route = (void *)line;
    return rule;
}

static enum status build(struct fixture *f)
{
    return f->built = router_build(&f->reader, f->rules, f->count, &f->router);
}

#define BUILD(f, ...)                                                      \
    do {                                                                   \
        static const char *const lines[] = {__VA_ARGS__};                  \
        for (size_t line = 0; line < sizeof lines / sizeof *lines; line++) \
            add((f), lines[line]);                                         \
        build(f);                                                          \
    } while (0)

static void ask(struct fixture *f, const char *method, const char *host, const char *path)
{
    arena_release(&f->x.arena);
    f->x.request = (struct http_request){
        .method = http_method_of(slice_of_text(method)),
        .method_text = slice_of_text(method),
        .host = slice_of_text(host),
        .path = slice_of_text(path),
    };
    f->x.parameter_count = 0;
    fields_init(&f->x.request.fields, &f->x.arena);
    fields_init(&f->x.response.fields, &f->x.arena);
}

/* The line that wins, or the word of the failure. */
static const char *answer(struct fixture *f)
{
    void *route = NULL;
    assert_ok(f->built);
    enum status e = router_find(f->router, &f->x, &route);
    f->allow = fields_value(&f->x.response.fields, FIELD_ALLOW);
    return e ? status_word(e) : route;
}

static const char *find_at(
    struct fixture *f, const char *method, const char *host, const char *path)
{
    ask(f, method, host, path);
    return answer(f);
}

static const char *find(struct fixture *f, const char *method, const char *path)
{
    return find_at(f, method, "h", path);
}

static const char *get(struct fixture *f, const char *path)
{
    return find(f, "GET", path);
}

static void test_exact(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "/", "/a", "/a/b", "/a/", "/long-segments-that-do-not-fit-a-node/b");
    assert_string_equal(get(f, "/"), "/");
    assert_string_equal(get(f, "/a"), "/a");
    assert_string_equal(get(f, "/a/b"), "/a/b");
    assert_string_equal(get(f, "/a/"), "/a/");
    assert_string_equal(get(f, "/long-segments-that-do-not-fit-a-node/b"),
        "/long-segments-that-do-not-fit-a-node/b");
    assert_string_equal(get(f, "/a/b/"), "no-route");
    assert_string_equal(get(f, "/A"), "no-route");
    assert_string_equal(get(f, "//"), "no-route");
    assert_string_equal(get(f, "*"), "no-route");
    assert_string_equal(get(f, ""), "no-route");
}

static void test_specificity_by_segment(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "/u/**", "/u/*", "/u/{id:[a-f]+}", "/u/{id:int}", "/u/v{n}", "/u/v{n:int}", "/u/me",
        "/u/{id:int}/x", "/u/me/y", "/u/*/z");
    assert_string_equal(get(f, "/u/me"), "/u/me");
    assert_string_equal(get(f, "/u/v1"), "/u/v{n:int}");
    assert_string_equal(get(f, "/u/vx"), "/u/v{n}");
    assert_string_equal(get(f, "/u/v"), "/u/*");
    assert_string_equal(get(f, "/u/12"), "/u/{id:int}");
    assert_string_equal(get(f, "/u/abc"), "/u/{id:[a-f]+}");
    assert_string_equal(get(f, "/u/xyz"), "/u/*");
    assert_string_equal(get(f, "/u"), "/u/**");
    assert_string_equal(get(f, "/u/"), "/u/**");
    assert_string_equal(get(f, "/u/12/x"), "/u/{id:int}/x");
    assert_string_equal(get(f, "/u/me/y"), "/u/me/y");
    assert_string_equal(get(f, "/u/me/z"), "/u/*/z"); /* back from the exact segment */
    assert_string_equal(get(f, "/u/12/z"), "/u/*/z");
    assert_string_equal(get(f, "/u/12/y"), "/u/**");
    assert_string_equal(get(f, "/v"), "no-route");
}

static void test_the_order_given_does_not_matter(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "/{id:int}", "/{id:[0-9a]+}", "/{id:[0-9]{1,9}}", "/x{id}", "/{id}x", "/xy{id}");
    assert_string_equal(get(f, "/12"), "/{id:int}");
    assert_string_equal(get(f, "/1a"), "/{id:[0-9a]+}");
    assert_string_equal(get(f, "/xyz"), "/xy{id}");
    assert_string_equal(get(f, "/x1x"), "/x{id}");
    assert_string_equal(get(f, "/1x"), "/{id}x");
}

static void test_parameters(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "/{a}/*/v{b:int}/{c:[a-z /]+}", "/{x}/p/**");
    get(f, "/one/two/v3/f%20our%2F");
    assert_int_equal(f->x.parameter_count, 3);
    assert_slice(f->x.parameters[0].name, "a");
    assert_slice(f->x.parameters[0].value, "one");
    assert_slice(f->x.parameters[1].name, "b");
    assert_slice(f->x.parameters[1].value, "3");
    assert_slice(f->x.parameters[2].name, "c");
    assert_slice(f->x.parameters[2].value, "f our/");
    get(f, "/one/p/v3x/y");
    assert_int_equal(f->x.parameter_count, 1);
    assert_slice(f->x.parameters[0].name, "x");
    assert_string_equal(get(f, "//p/x"), "no-route"); /* a parameter is never empty */
}

static void test_literals_are_normalised(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "/caf\xc3\xa9", "/a%7eb", "/x.{e}", "/%2e%2ex");
    assert_string_equal(get(f, "/caf%C3%A9"), "/caf\xc3\xa9");
    assert_string_equal(get(f, "/a~b"), "/a%7eb");
    assert_string_equal(get(f, "/x.y"), "/x.{e}");
    assert_string_equal(get(f, "/..x"), "/%2e%2ex");
}

static void test_methods(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "GET /a", "POST|PUT /a", "PURGE /a", "/b", "GET /b", "GET /c", "HEAD /c",
        "DELETE /c/*", "PATCH /c/d");
    assert_string_equal(find(f, "GET", "/a"), "GET /a");
    assert_string_equal(find(f, "HEAD", "/a"), "GET /a");
    assert_string_equal(find(f, "PUT", "/a"), "POST|PUT /a");
    assert_string_equal(find(f, "PURGE", "/a"), "PURGE /a");
    assert_string_equal(find(f, "GET", "/b"), "GET /b");
    assert_string_equal(find(f, "BREW", "/b"), "/b");
    assert_string_equal(find(f, "HEAD", "/c"), "HEAD /c");
    assert_string_equal(find(f, "DELETE", "/c/d"), "DELETE /c/*");
}

static void test_method_not_allowed(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "GET /a", "POST|PUT /a", "PURGE /a", "DELETE /*");
    assert_string_equal(find(f, "PATCH", "/a"), "method-not-allowed");
    assert_slice(f->allow, "GET, HEAD, POST, PUT, DELETE, PURGE");
    assert_string_equal(find(f, "OPTIONS", "/b"), "method-not-allowed");
    assert_slice(f->allow, "DELETE");
    assert_string_equal(find(f, "PATCH", "/a/b"), "no-route");
    assert_null(f->allow.data);
}

static void test_hosts(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "shop.example,[::1]/a", "*.example/a", "*.shop.example/a", "*/a", "/b",
        "*.example/b/c", "API.Example./x");
    assert_string_equal(find_at(f, "GET", "shop.example", "/a"), "shop.example,[::1]/a");
    assert_string_equal(find_at(f, "GET", "shop.example.", "/a"), "shop.example,[::1]/a");
    assert_string_equal(find_at(f, "GET", "::1", "/a"), "shop.example,[::1]/a");
    assert_string_equal(find_at(f, "GET", "x.y.shop.example", "/a"), "*.shop.example/a");
    assert_string_equal(find_at(f, "GET", "x.example", "/a"), "*.example/a");
    assert_string_equal(find_at(f, "GET", "example", "/a"), "*/a");
    assert_string_equal(find_at(f, "GET", "", "/a"), "*/a");
    assert_string_equal(find_at(f, "GET", "shop.example", "/b"), "/b");
    assert_string_equal(find_at(f, "GET", "shop.example", "/b/c"), "*.example/b/c");
    assert_string_equal(find_at(f, "GET", "example", "/b/c"), "no-route");
    assert_string_equal(find_at(f, "GET", "api.example", "/x"), "API.Example./x");
}

static void test_conditions(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "/a", "/a ? header.x-canary", "GET /b ? header.x-canary", "/b ? header.x-other");
    assert_string_equal(get(f, "/a"), "/a");
    ask(f, "GET", "h", "/a");
    assert_ok(fields_set(&f->x.request.fields, SLICE("x-canary"), SLICE("1")));
    assert_string_equal(answer(f), "/a ? header.x-canary");
    assert_string_equal(get(f, "/b"), "no-route"); /* and not 405: GET may be allowed */
    ask(f, "GET", "h", "/b");
    assert_ok(fields_set(&f->x.request.fields, SLICE("x-other"), SLICE("1")));
    assert_string_equal(answer(f), "/b ? header.x-other");
}

static void test_priority(void **state)
{
    struct fixture *f = *state;
    add(f, "/a ? header.a");
    add(f, "/a ? header.b")->priority = 1;
    add(f, "/a/*");
    add(f, "/a/{x}")->priority = -1;
    build(f);
    ask(f, "GET", "h", "/a");
    assert_ok(fields_set(&f->x.request.fields, SLICE("a"), SLICE("1")));
    assert_ok(fields_set(&f->x.request.fields, SLICE("b"), SLICE("1")));
    assert_string_equal(answer(f), "/a ? header.b");
    assert_string_equal(get(f, "/a/1"), "/a/*");
}

static void check_tie(struct fixture *f, const char *first, const char *second)
{
    size_t errors = f->diagnostics.errors;
    f->count = 0;
    memset(f->rules, 0, sizeof f->rules);
    add(f, first);
    add(f, second);
    assert_status(build(f), INVALID);
    assert_int_equal(f->diagnostics.errors, errors + 1);
    const struct diagnostic *d = &f->diagnostics.items[f->diagnostics.count - 1];
    assert_int_equal(d->place.line, 2);
    assert_int_equal(d->related.line, 1);
}

static void test_ties_name_both_places(void **state)
{
    struct fixture *f = *state;
    check_tie(f, "/a", "/a");
    check_tie(f, "/{a}", "/*");
    check_tie(f, "/{a:int}/b", "/{b:int}/b");
    check_tie(f, "/{a:x+}", "/{b:x+}");
    check_tie(f, "/v{a}", "/v{b}");
    check_tie(f, "GET|PUT /a", "POST|PUT /a");
    check_tie(f, "a,b,c/x", "d,c/x");
    check_tie(f, "*.a/x", "*.a/x");
    check_tie(f, "PURGE /a", "PURGE /a");
    check_tie(f, "/a/**", "/a/**");
    check_tie(f, "/a ? header.x", "/a ? header.x");
}

static void test_what_is_no_tie(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "GET /a", "PUT /a", "/a", "/a/**", "a,b,b/x", "c/x", "*.a/x", "/x", "/a ? header.x",
        "/a ? header.y", "PURGE /a", "BREW /a");
    assert_ok(f->built);
}

static void check_refused(struct fixture *f, const char *path, const char *message)
{
    f->count = 0;
    memset(f->rules, 0, sizeof f->rules);
    add(f, "/fine");
    f->rules[0].path = slice_of_text(path);
    assert_status(build(f), INVALID);
    struct slice said = f->diagnostics.items[f->diagnostics.count - 1].message;
    if (slice_find_slice(said, slice_of_text(message)) == said.size)
        fail_msg("%s: says \"%.*s\", not \"%s\"", path, SLICE_ARG(said), message);
}

static void test_malformed_patterns(void **state)
{
    struct fixture *f = *state;
    check_refused(f, "", "begins with");
    check_refused(f, "a", "begins with");
    check_refused(f, "/**/a", "only at the end");
    check_refused(f, "/a*", "stands alone");
    check_refused(f, "/{a}*", "stands alone");
    check_refused(f, "/{a", "no partner");
    check_refused(f, "/a}", "no partner");
    check_refused(f, "/{a}{b}", "two parameters");
    check_refused(f, "/{}", "a parameter's name");
    check_refused(f, "/{a b}", "a parameter's name");
    check_refused(f, "/{a:}", "nothing stands behind");
    check_refused(f, "/{a:(}", "at character");
    check_refused(f, "/{a}/{a}", "are called");
    check_refused(f, "/a?b=c", "cannot occur");
    check_refused(f, "/a#b", "cannot occur");
    check_refused(f, "/..", "dot segments");
    check_refused(f, "/%2e", "dot segments");
    check_refused(f, "/%zz", "cannot occur");
    check_refused(f, "/a\\b", "cannot occur");
    char many[3 * 70 + 1];
    struct text text = text_fixed(many, sizeof many);
    for (int i = 0; i < 70; i++)
        text_add_literal(&text, "/aa");
    text_add_char(&text, '\0');
    check_refused(f, many, "segments");
    check_refused(
        f, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}", "parameters");
}

static void test_malformed_hosts(void **state)
{
    struct fixture *f = *state;
    static const char *const hosts[] = {"a.*", "a:80", "*.*", "a b", "*."};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct slice host = slice_of_text(hosts[i]);
        struct route_rule rule = {.hosts = &host, .host_count = 1, .path = SLICE("/")};
        assert_status(router_build(&f->reader, &rule, 1, &f->router), INVALID);
        assert_int_equal(f->diagnostics.errors, i + 1);
    }
}

static void test_no_rules(void **state)
{
    struct fixture *f = *state;
    build(f);
    assert_string_equal(get(f, "/"), "no-route");
}

/* Every route of {a, *}^n exists, and the path fits all but for its end: that is the most that a
 * look-up may cost. */
static void test_overlap_is_bounded_and_warned_of(void **state)
{
    struct fixture *f = *state;
    enum { DEPTH = 10, COUNT = 1 << DEPTH };
    struct route_rule *rules = arena_array(&f->arena, COUNT, sizeof *rules);
    for (unsigned i = 0; i < COUNT; i++) {
        char path[2 * DEPTH];
        struct text text = text_fixed(path, sizeof path);
        for (unsigned bit = 0; bit < DEPTH; bit++)
            text_add(&text, i >> bit & 1 ? SLICE("/a") : SLICE("/*"));
        rules[i].path = arena_copy(&f->arena, text_slice(&text));
        rules[i].route = "found";
    }
    assert_ok(f->built = router_build(&f->reader, rules, COUNT, &f->router));
    assert_int_equal(f->diagnostics.errors, 0);
    assert_int_equal(f->diagnostics.count, 1);
    assert_int_equal(f->diagnostics.items[0].severity, SEVERITY_WARNING);
    assert_string_equal(get(f, "/a/a/a/a/a/b/a/a/a/a"), "found");
    assert_string_equal(get(f, "/a/a/a/a/a/a/a/a/a/a/a"), "no-route");
}

struct explained {
    char text[1000];
};

static void note_why(void *argument, const struct route_rule *rule, const char *why)
{
    struct explained *explained = argument;
    size_t size = strlen(explained->text);
    snprintf(explained->text + size, sizeof explained->text - size, "%s: %s\n",
        (const char *)rule->route, why);
}

static void test_explain(void **state)
{
    struct fixture *f = *state;
    BUILD(f, "POST /u/me", "/u/**", "h/u/{id:int}", "other/u/me", "/u/me/", "/x/y/z", "/v/me",
        "/u/me ? header.x", "/u/v{n}", "/u/me/more");
    struct explained explained = {""};
    ask(f, "GET", "h", "/u/me");
    router_explain(f->router, &f->x, note_why, &explained);
    assert_string_equal(explained.text, "POST /u/me: the method is GET\n"
                                        "h/u/{id:int}: segment 2, \"me\", is not a number\n"
                                        "other/u/me: the host is \"h\"\n"
                                        "/u/me/: the path is shorter than 3 segments\n"
                                        "/v/me: segment 1 is \"u\", not \"v\"\n"
                                        "/u/me ? header.x: its condition does not hold: header.x\n"
                                        "/u/v{n}: segment 2, \"me\", is not v{n}\n"
                                        "/u/me/more: the path is shorter than 3 segments\n");
    explained.text[0] = 0;
    ask(f, "POST", "h", "/u/me");
    router_explain(f->router, &f->x, note_why, &explained);
    assert_non_null(strstr(explained.text, "/u/**: a more specific route matches\n"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_specificity_by_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_order_given_does_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_literals_are_normalised, setup, teardown),
        cmocka_unit_test_setup_teardown(test_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(test_method_not_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ties_name_both_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_tie, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overlap_is_bounded_and_warned_of, setup, teardown),
        cmocka_unit_test_setup_teardown(test_explain, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
