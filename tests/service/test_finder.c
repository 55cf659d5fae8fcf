/* Sources of endpoints, by a kind whose answers the tests give: what is made of its reports, and
 * what when it fails. */
#include "run/loop.h"
#include "run/wait.h"
#include "service/finder.h"
#include "service/roster.h"
#include "service/service_state.h"
#include "support/service_rig.h"
#include "support/on_loop.h"

#include <stdio.h>

#define MANY 10000

/* What the source is told to do next. */
static struct {
    struct finder *finder; /* while it is followed */
    struct wait_queue told;
    bool fails;
    int follows; /* how often it was begun */
    char notices[4096];
} play;

struct fake_options {
    struct source_options common;
    struct slice tag;
};

static const struct option rows[] = {SOURCE_ROWS,
    {"tag", OPTION_TEXT, offsetof(struct fake_options, tag), .help = "A word."}, {NULL}};
static const struct option_table table = {
    .name = "fake", .options = rows, .size = sizeof(struct fake_options)};

static enum status follow(struct finder *finder, void *options)
{
    (void)options;
    play.follows++;
    if (play.fails) {
        finder_complain(finder, "it is broken");
        return IO_ERROR;
    }
    play.finder = finder;
    enum status e = wait_queue_wait(&play.told, NEVER);
    if (play.finder == finder)
        play.finder = NULL;
    if (e)
        return e;
    finder_complain(finder, "it broke");
    return CLOSED;
}

static const struct discovery fake_discovery = {
    .scheme = "fake", .form = "fake://THING", .table = &table, .follow = follow};

static void notice(void *argument, const char *text)
{
    (void)argument;
    size_t size = strlen(play.notices);
    snprintf(play.notices + size, sizeof play.notices - size, "%s\n", text);
}

static int setup(void **state)
{
    memset(&play, 0, sizeof play);
    wait_queue_init(&play.told);
    struct rig *rig = rig_new();
    rig->plane->options.notice = notice;
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* The service "demo": names in the YAML become sources of the tests' kind. */
static void make(struct rig *rig, const char *yaml)
{
    struct arena old = rig->snapshot;
    bool had_one = rig->service != NULL;
    arena_init(&rig->snapshot, 0, 0);
    struct source source = {SLICE("test.yaml"), slice_of_text(yaml)};
    struct node *root;
    struct reader reader = {.arena = &rig->snapshot, .diagnostics = &rig->diagnostics};
    struct service_options *options = arena_new(&rig->snapshot, struct service_options);
    diagnostics_init(&rig->diagnostics, &rig->snapshot);
    assert_ok(tree_read(&rig->snapshot, &source, NULL, &rig->diagnostics, &root));
    assert_ok(option_read(&reader, &service_table, root, options));
    assert_int_equal(rig->diagnostics.errors, 0);
    struct endpoint_options *items = options->at.items;
    for (size_t i = 0; i < options->at.count; i++)
        if (items[i].at.source)
            items[i].at.source = &fake_discovery;
    assert_ok(service_prepare(rig->plane, &reader, SLICE("demo"), options, NULL, &rig->service));
    service_activate(rig->service);
    if (had_one)
        arena_release(&old);
}

static void wait_for_source(void)
{
    rig_until(play.finder);
}

/* What the source finds: addresses, a "-" before those that are not well, "*N" behind for a
 * weight. */
static void report(const char *words)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct findings findings = {.arena = &arena};
    struct slice rest = slice_of_text(words), word;
    while (slice_split(&rest, ' ', &word)) {
        struct finding finding = {.weight = 1};
        if (slice_has_prefix(word, SLICE("-")))
            finding.trouble = SLICE("it is ill");
        word = slice_from(word, finding.trouble.size > 0);
        size_t star = slice_find(word, '*');
        uint64_t weight = 1;
        (void)slice_to_u64(slice_from(word, star + 1), &weight);
        finding.weight = (uint32_t)weight;
        if (word.size == 0)
            continue;
        assert_ok(address_parse(slice_head(word, star), &finding.address));
        assert_ok(findings_add(&findings, &finding));
    }
    finder_report(play.finder, &findings);
    arena_release(&arena);
    fiber_sleep_until(loop_now() + MILLISECOND); /* the worker learns of it */
}

static const struct endpoint_set *set_of(struct rig *rig)
{
    return roster_look(rig->service->roster);
}

static int count_notices(const char *what)
{
    int count = 0;
    for (const char *at = play.notices; (at = strstr(at, what)); at++)
        count++;
    return count;
}

static void test_what_stays_is_not_touched(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    char words[256];
    make(rig, "demo:80");
    wait_for_source();
    report(fake->text);
    rig_expect(rig, "hello");
    const struct endpoint *first = set_of(rig)->endpoints[0];
    const struct found *found = set_of(rig)->founds[0];
    snprintf(words, sizeof words, "127.0.0.9:1*0 %s 127.0.0.8:1*0", fake->text);
    report(words);
    assert_int_equal(set_of(rig)->count, 3);
    rig_expect(rig, "hello");
    assert_ptr_equal(set_of(rig)->endpoints[0], first);
    assert_ptr_equal(set_of(rig)->founds[0], found);
    snprintf(words, sizeof words, "127.0.0.8:1*0 %s*5", fake->text);
    report(words);
    assert_int_equal(set_of(rig)->count, 2);
    assert_ptr_equal(set_of(rig)->endpoints[0], first);
    assert_int_equal(set_of(rig)->weights[0], 5);
    rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 1);
}

static void test_the_last_endpoints_stay_when_the_source_goes(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    make(rig, "demo:80");
    wait_for_source();
    report(fake->text);
    play.fails = true;
    wait_queue_wake_all(&play.told);
    rig_until(play.follows == 2);
    rig_expect(rig, "hello");
    assert_int_equal(count_notices("source demo:80: it broke; its last endpoints stay"), 1);
    assert_int_equal(count_notices("broke"), 1);
    assert_non_null(strstr(rig_describe(rig), "\"state\":\"down\""));
    assert_non_null(strstr(rig->read, "it is broken"));
    play.fails = false;
    wait_for_source();
    report(fake->text);
    assert_int_equal(count_notices("source demo:80: back after "), 1);
    assert_non_null(strstr(rig_describe(rig), "\"state\":\"up\""));
}

static void test_why_there_is_nobody(void **state)
{
    struct rig *rig = *state;
    play.fails = true;
    make(rig, "demo:80");
    rig_until(play.follows == 1);
    assert_status(rig_get(rig, "/"), UPSTREAM_DISCOVERY);
    play.fails = false;
    wait_for_source();
    report("");
    assert_status(rig_get(rig, "/"), NO_ENDPOINT);
}

static void test_nobody_has_answered_yet(void **state)
{
    struct rig *rig = *state;
    make(rig, "{at: \"demo:80\", timeout: {connect: 30ms}}");
    wait_for_source();
    assert_status(rig_get(rig, "/"), UPSTREAM_DISCOVERY_TIMEOUT);
}

static void test_nobody_is_believed_after_a_while(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    make(rig, "{at: \"demo:80\", grace: 100ms}");
    wait_for_source();
    report(fake->text);
    report("");
    rig_expect(rig, "hello");
    report("-127.0.0.1:7");
    rig_expect(rig, "hello");
    assert_non_null(strstr(rig_describe(rig), "\"state\":\"empty\""));
    assert_int_equal(count_notices("says that there are no endpoints; the last 1 stay"), 1);
    rig_until(set_of(rig)->endpoints[0]->address->v4.sin_port == htons(7));
    fiber_sleep_until(loop_now() + MILLISECOND);
    assert_status(rig_get(rig, "/"), NO_ENDPOINT);
    report(fake->text);
    rig_expect(rig, "hello");
    report(""); /* and again, but somebody comes in time */
    report(fake->text);
    fiber_sleep_until(loop_now() + 150 * MILLISECOND);
    rig_expect(rig, "hello");
}

static void test_nobody_is_believed_at_once(void **state)
{
    struct rig *rig = *state;
    make(rig, "{at: \"demo:80\", grace: 0s}");
    wait_for_source();
    report("127.0.0.1:7");
    report("");
    assert_int_equal(set_of(rig)->count, 0);
}

static void test_who_is_ill_is_not_asked(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    char words[128];
    make(rig, "demo:80");
    wait_for_source();
    snprintf(words, sizeof words, "-127.0.0.1:7 %s", fake->text);
    report(words);
    for (int i = 0; i < 4; i++)
        rig_expect(rig, "hello");
    assert_non_null(strstr(rig_describe(rig), "it is ill"));
    assert_int_equal(endpoint_reasons(set_of(rig)->endpoints[1]), DOWN_SOURCE);
    report("127.0.0.1:7");
    assert_int_equal(endpoint_reasons(set_of(rig)->endpoints[0]), 0);
}

static void test_a_reload_keeps_the_source(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    make(rig, "{at: \"demo:80\"}");
    wait_for_source();
    report(fake->text);
    rig_expect(rig, "hello");
    make(rig, "{at: \"demo:80\", timeout: 3s}");
    rig_expect(rig, "hello");
    assert_int_equal(play.follows, 1);
    assert_int_equal(fake->connections, 1);
    struct finder *before = play.finder;
    make(rig, "{at: \"demo:80\", grace: 3s}"); /* now it is another */
    assert_int_equal(set_of(rig)->count, 0);
    rig_until(play.follows == 2 && play.finder && play.finder != before);
}

static void test_a_source_beside_endpoints(void **state)
{
    struct rig *rig = *state;
    make(rig,
        "at: [{address: \"127.0.0.1:7\", weight: 2}, "
        "{address: \"demo:80\", weight: 3, tier: 1, zone: a, labels: {v: one}}, 127.0.0.1:9]");
    assert_int_equal(set_of(rig)->count, 2);
    wait_for_source();
    report("127.0.0.1:7*2 127.0.0.1:8*4");
    const struct endpoint_set *set = set_of(rig);
    assert_int_equal(set->count, 3);
    assert_int_equal(set->weights[0], 2 + 6); /* once, with both weights */
    assert_int_equal(set->weights[1], 12);
    assert_int_equal(set->members[1].standing.tier, 1);
    assert_slice(set->members[1].standing.zone, "a");
    report("127.0.0.1:8");
    assert_int_equal(set_of(rig)->count, 3);
    assert_int_equal(set_of(rig)->weights[0], 2);
}

/* All ill but the fake, so that requests go there. */
static void report_many(struct rig *rig, int without)
{
    struct arena arena;
    struct finding finding = {.weight = 1};
    char text[32];
    arena_init(&arena, 0, 0);
    struct findings findings = {.arena = &arena};
    assert_ok(address_parse(slice_of_text(rig->fakes[0].text), &finding.address));
    assert_ok(findings_add(&findings, &finding));
    finding.trouble = SLICE("it is ill");
    for (int i = 1; i < MANY; i++) {
        snprintf(text, sizeof text, "10.0.%d.%d:80", i / 250, i % 250 + 1);
        assert_ok(address_parse(slice_of_text(text), &finding.address));
        if (i != without)
            assert_ok(findings_add(&findings, &finding));
    }
    finder_report(play.finder, &findings);
    arena_release(&arena);
}

struct known {
    const struct found *found;
    const struct endpoint *endpoint;
};

/* Both in the order of their texts. */
static void look_at_all(struct rig *rig, struct known *known)
{
    const struct found_list *list = finder_found(play.finder);
    const struct endpoint_set *set = set_of(rig);
    assert_int_equal(set->count, list->count);
    for (size_t i = 0; i < list->count; i++)
        known[i] = (struct known){list->items[i], set->endpoints[i]};
}

static bool is_same(const struct known *a, const struct known *b)
{
    return a->found == b->found && a->endpoint == b->endpoint;
}

/* What is known of the others is the very same memory, so nothing of it was made anew, and the
 * connection to one of them goes on. The time is printed, for people. */
static void test_one_of_ten_thousand(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    struct known *before = test_calloc(MANY, sizeof *before);
    struct known *after = test_calloc(MANY, sizeof *after);
    make(rig, "demo:80");
    wait_for_source();
    report_many(rig, MANY / 2);
    look_at_all(rig, before);
    rig_expect(rig, "hello");
    uint32_t builds = rig->plane->builds;
    instant began = clock_now();
    report_many(rig, -1);
    print_message("# one of %d endpoints more: %lld us\n", MANY,
        (long long)((clock_now() - began) / MICROSECOND));
    assert_int_equal(set_of(rig)->count, MANY);
    look_at_all(rig, after);
    size_t same = 0;
    for (size_t i = 0; i < MANY && same < MANY - 1; i++)
        same += is_same(&after[i], &before[same]);
    assert_int_equal(same, MANY - 1);
    assert_int_equal(rig->plane->builds, builds + 1);
    rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 1);
    report_many(rig, -1);
    assert_int_equal(rig->plane->builds, builds + 1); /* nothing has changed */
    test_free(before);
    test_free(after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_what_stays_is_not_touched),
        TEST(test_the_last_endpoints_stay_when_the_source_goes),
        TEST(test_why_there_is_nobody),
        TEST(test_nobody_has_answered_yet),
        TEST(test_nobody_is_believed_after_a_while),
        TEST(test_nobody_is_believed_at_once),
        TEST(test_who_is_ill_is_not_asked),
        TEST(test_a_reload_keeps_the_source),
        TEST(test_a_source_beside_endpoints),
        TEST(test_one_of_ten_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
