/* What every store has to do, whatever holds it: the same cases over each. */
#include <stdlib.h>
#include <string.h>

#include "run/loop.h"
#include "support/on_loop.h"
#include "support/store_rig.h"
#include "support/unit.h"

static struct store_rig *rig;
static struct store *store;
static struct postgres_server *postgres; /* one for all cases, each in a table of its own */
static struct arena arena;

static int begin(void)
{
    rig = store_rig_new();
    arena_init(&arena, 0, 0);
    return 0;
}

static int set_up_memory(void **state)
{
    (void)state;
    begin();
    store = memory_store(rig->stores->memory);
    return 0;
}

static int set_up_durable(void **state)
{
    (void)state;
    begin();
    store = store_rig_durable(rig);
    return 0;
}

static int set_up_redis(void **state)
{
    (void)state;
    begin();
    store = store_rig_redis(rig);
    return 0;
}

static int set_up_postgres(void **state)
{
    (void)state;
    begin();
    store = store_rig_postgres(rig, postgres);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    store_rig_free(rig);
    return 0;
}

/* --- short forms */

static enum status get(const char *key, struct slice *ret_value)
{
    return store_get(store, 0, slice_of_text(key), NEVER, &arena, ret_value);
}

static void expect(const char *key, const char *value)
{
    struct slice there;
    assert_ok(get(key, &there));
    check_slice(there, slice_of_text(value), __FILE__, __LINE__);
}

static void expect_nothing(const char *key)
{
    struct slice there = SLICE("untouched");
    assert_status(get(key, &there), NOT_FOUND);
    assert_slice(there, "untouched");
}

static enum status set(const char *key, const char *value, int64_t ttl)
{
    return store_set(store, 0, slice_of_text(key), slice_of_text(value), ttl, NEVER);
}

static enum status add(const char *key, const char *value, int64_t ttl, struct slice *ret_there)
{
    return store_add(
        store, 0, slice_of_text(key), slice_of_text(value), ttl, NEVER, &arena, ret_there);
}

static enum status swap(const char *key, const char *expected, const char *value, int64_t ttl)
{
    return store_swap(
        store, 0, slice_of_text(key), slice_of_text(expected), slice_of_text(value), ttl, NEVER);
}

static enum status count(const char *key, int64_t delta, int64_t ttl, int64_t *ret_sum)
{
    return store_count(store, 0, slice_of_text(key), delta, ttl, NEVER, ret_sum);
}

static void wait_until_gone(const char *key)
{
    struct slice there;
    rig_until(get(key, &there) == NOT_FOUND);
}

/* --- cases */

static void what_is_set_is_there(void **state)
{
    (void)state;
    expect_nothing("a");
    assert_ok(set("a", "one", HOUR));
    expect("a", "one");
    assert_ok(set("a", "two", HOUR));
    expect("a", "two");
    assert_ok(set("a", "", HOUR));
    expect("a", "");
    expect_nothing("b");
    assert_ok(store_set(store, 0, SLICE("c"), SLICE_NONE, HOUR, NEVER));
    expect("c", "");
}

static void keys_and_values_are_any_bytes(void **state)
{
    (void)state;
    struct slice key = SLICE("a\0b\r\n*"), value = SLICE("\0\xff\r\n$5"), there;
    assert_ok(store_set(store, 0, key, value, HOUR, NEVER));
    assert_ok(store_get(store, 0, key, NEVER, &arena, &there));
    assert_slices(there, value);
    assert_status(store_get(store, 0, SLICE("a"), NEVER, &arena, &there), NOT_FOUND);
}

static void sizes_have_bounds(void **state)
{
    (void)state;
    char key[STORE_KEY_MAX + 1];
    char *bytes = calloc(1, STORE_VALUE_MAX + 1);
    struct slice there;
    assert_non_null(bytes);
    memset(key, 'k', sizeof key);
    memset(bytes, 'v', STORE_VALUE_MAX);
    struct slice most = slice_of(bytes, STORE_VALUE_MAX), longest = slice_of(key, STORE_KEY_MAX);
    assert_ok(store_set(store, 0, longest, most, HOUR, NEVER));
    assert_ok(store_get(store, 0, longest, NEVER, &arena, &there));
    assert_true(slice_equal(there, most));
    most.size++;
    assert_status(store_set(store, 0, longest, most, HOUR, NEVER), TOO_LARGE);
    longest.size++;
    assert_status(store_set(store, 0, longest, SLICE("x"), HOUR, NEVER), TOO_LARGE);
    free(bytes);
}

static void what_has_ended_is_gone(void **state)
{
    (void)state;
    struct slice there;
    int64_t sum;
    assert_ok(set("a", "one", 1));
    assert_ok(add("b", "one", 30 * MILLISECOND, &there));
    assert_ok(count("c", 5, 30 * MILLISECOND, &sum));
    assert_ok(set("d", "stays", HOUR));
    wait_until_gone("a");
    wait_until_gone("b");
    wait_until_gone("c");
    assert_status(swap("a", "one", "two", HOUR), CONFLICT);
    assert_ok(add("b", "two", HOUR, &there));
    assert_ok(count("c", 1, HOUR, &sum));
    assert_int_equal(sum, 1);
    expect("d", "stays");
}

static void the_first_to_add_wins(void **state)
{
    (void)state;
    struct slice there = SLICE("untouched");
    assert_ok(add("a", "first", HOUR, &there));
    assert_slice(there, "untouched");
    assert_status(add("a", "second", HOUR, &there), CONFLICT);
    assert_slice(there, "first");
    expect("a", "first");
    assert_ok(set("b", "", HOUR));
    assert_status(add("b", "second", HOUR, &there), CONFLICT);
    assert_slice(there, "");
}

static void a_lease_is_renewed_by_who_has_it(void **state)
{
    (void)state;
    struct slice there;
    assert_ok(add("a", "mine", MINUTE, &there));
    assert_ok(swap("a", "mine", "mine", 100 * MILLISECOND));
    assert_status(swap("a", "yours", "yours", HOUR), CONFLICT);
    assert_status(swap("a", "min", "yours", HOUR), CONFLICT);
    wait_until_gone("a");
}

static void swaps_want_what_is_there(void **state)
{
    (void)state;
    assert_status(swap("a", "", "x", HOUR), CONFLICT);
    assert_ok(set("a", "one", HOUR));
    assert_ok(swap("a", "one", "two", HOUR));
    assert_status(swap("a", "one", "three", HOUR), CONFLICT);
    expect("a", "two");
    assert_ok(swap("a", "two", "", HOUR));
    expect("a", "");
    assert_ok(swap("a", "", "four", HOUR));
    assert_status(swap("a", "three", NULL, 0), CONFLICT);
    assert_ok(swap("a", "four", NULL, 0));
    expect_nothing("a");
    assert_status(swap("a", "four", NULL, 0), CONFLICT);
}

static void counters_count(void **state)
{
    (void)state;
    int64_t sum = 0;
    assert_ok(count("a", 1, HOUR, &sum));
    assert_int_equal(sum, 1);
    assert_ok(count("a", 41, HOUR, &sum));
    assert_int_equal(sum, 42);
    expect("a", "42");
    assert_ok(count("a", -50, HOUR, &sum));
    assert_int_equal(sum, -8);
    expect("a", "-8");
    assert_ok(count("b", INT64_MAX, HOUR, &sum));
    assert_true(sum == INT64_MAX);
    assert_status(count("b", 1, HOUR, &sum), INVALID);
    assert_ok(count("b", -1, HOUR, &sum));
    assert_true(sum == INT64_MAX - 1);
    assert_ok(count("c", INT64_MIN, HOUR, &sum));
    assert_true(sum == INT64_MIN);
    assert_ok(set("d", "words", HOUR));
    assert_status(count("d", 1, HOUR, &sum), INVALID);
    expect("d", "words");
}

static void a_counters_time_runs_from_the_first(void **state)
{
    (void)state;
    int64_t sum = 0;
    instant began = clock_now();
    assert_ok(count("a", 1, 300 * MILLISECOND, &sum));
    do /* else it would never be 1 again */
        assert_ok(count("a", 1, 300 * MILLISECOND, &sum));
    while (sum > 1 && clock_now() < began + MINUTE);
    assert_int_equal(sum, 1);
    assert_true(clock_now() >= began + 300 * MILLISECOND);
}

/* Remembers the largest of the numbers it is given, until one is negative. */
static void run_largest(const struct store_script *script, struct store_cell *cell,
    const int64_t *arguments, int64_t *ret_results)
{
    (void)script;
    int64_t largest = arguments[0];
    ret_results[0] = 0;
    if (cell->value.size == sizeof largest) {
        int64_t before;
        memcpy(&before, cell->value.data, sizeof before);
        ret_results[0] = before;
        largest = before > largest ? before : largest;
    }
    ret_results[1] = largest;
    if (arguments[0] == 0)
        return;
    if (arguments[0] < 0) {
        cell->ttl = -1;
        return;
    }
    text_add(cell->next, slice_of((const char *)&largest, sizeof largest));
    cell->ttl = arguments[1] * MILLISECOND;
}

static const struct store_script largest_script = {
    .lua = "local before = tonumber(redis.call('GET', KEYS[1]) or '0')\n"
           "local given = tonumber(ARGV[1])\n"
           "local largest = math.max(before, given)\n"
           "if given < 0 then redis.call('DEL', KEYS[1])\n"
           "elseif given > 0 then redis.call('SET', KEYS[1], largest, 'PX', ARGV[2]) end\n"
           "return {before, largest}\n",
    .arguments = 2,
    .results = 2,
    .run = run_largest};

static void expect_run(const struct store_program *program, int64_t given, int64_t ttl,
    int64_t before, int64_t largest)
{
    int64_t results[2];
    const int64_t arguments[] = {given, ttl};
    assert_ok(store_run(store, 0, program, SLICE("a"), arguments, NEVER, results));
    assert_int_equal(results[0], before);
    assert_int_equal(results[1], largest);
}

static void scripts_run(void **state)
{
    (void)state;
    struct store_program program;
    assert_ok(store_program_init(&program, &largest_script));
    expect_run(&program, 5, 60000, 0, 5);
    expect_run(&program, 3, 60000, 5, 5);
    expect_run(&program, 9, 60000, 5, 9);
    expect_run(&program, 0, 60000, 9, 9);
    expect_run(&program, -1, 60000, 9, 9);
    expect_nothing("a");
    expect_run(&program, 7, 20, 0, 7);
    wait_until_gone("a");
    expect_run(&program, 2, 60000, 0, 2);
}

/* Many fibers at once: each sum is seen once, and one alone adds. */
#define CROWD 64

static unsigned winners;
static bool seen[CROWD + 1];

static void be_one_of_many(void *argument)
{
    struct slice there;
    int64_t sum = 0;
    (void)argument;
    enum status e = add("lease", "somebody", HOUR, &there);
    assert_true(e == OK || e == CONFLICT);
    winners += e == OK;
    assert_ok(count("sum", 1, HOUR, &sum));
    assert_true(sum >= 1 && sum <= CROWD && !seen[sum]);
    seen[sum] = true;
}

static void many_at_once_agree(void **state)
{
    struct scope scope;
    (void)state;
    winners = 0;
    memset(seen, 0, sizeof seen);
    scope_init(&scope);
    for (int i = 0; i < CROWD; i++)
        assert_ok(scope_start(&scope, be_one_of_many, NULL));
    assert_ok(scope_wait(&scope, NEVER));
    scope_end(&scope);
    assert_int_equal(winners, 1);
    expect("sum", "64");
}

/* --- messages */

/* What a listener has heard, written down: "<" where it began, and each message with a blank. */
struct ear {
    struct store_listener listener;
    struct text heard;
};

static void write_begin(struct store_listener *listener)
{
    text_add_char(&((struct ear *)listener)->heard, '<');
}

static void write_heard(struct store_listener *listener, struct slice message)
{
    struct ear *ear = (struct ear *)listener;
    text_add(&ear->heard, message);
    text_add_char(&ear->heard, ' ');
}

static void begin_to_listen(struct ear *ear, const char *channel)
{
    *ear = (struct ear){
        .listener = {.channel = slice_of_text(channel), .begin = write_begin, .hear = write_heard},
        .heard = text_growing(0)};
    assert_ok(store_subscribe(store, &ear->listener));
}

static void stop(struct ear *ear)
{
    store_unsubscribe(&ear->listener);
    text_release(&ear->heard);
}

static enum status publish(const char *channel, const char *message)
{
    return store_publish(store, 0, slice_of_text(channel), slice_of_text(message), NEVER);
}

static bool has_heard(const struct ear *ear, const char *text)
{
    struct slice heard = text_slice(&ear->heard), end = slice_of_text(text);
    return slice_has_suffix(heard, end);
}

static void who_listens_hears_in_order(void **state)
{
    struct ear one, other, elsewhere;
    (void)state;
    begin_to_listen(&one, "news");
    rig_until(has_heard(&one, "<"));
    begin_to_listen(&other, "news");
    begin_to_listen(&elsewhere, "weather");
    rig_until(has_heard(&other, "<") && has_heard(&elsewhere, "<"));
    for (int i = 0; i < 3; i++) {
        const char *words[] = {"one", "two", "three"};
        assert_ok(publish("news", words[i]));
    }
    assert_ok(publish("weather", "rain"));
    rig_until(has_heard(&one, "one two three ") && has_heard(&other, "<one two three "));
    rig_until(has_heard(&elsewhere, "<rain "));
    store_unsubscribe(&one.listener);
    store_unsubscribe(&one.listener);
    assert_ok(publish("news", "four"));
    rig_until(has_heard(&other, "three four "));
    assert_true(has_heard(&one, "three "));
    stop(&other);
    assert_ok(publish("news", "five"));
    assert_ok(publish("weather", "sun"));
    rig_until(has_heard(&elsewhere, "rain sun "));
    stop(&elsewhere);
    text_release(&one.heard);
}

static void messages_are_any_bytes_within_bounds(void **state)
{
    struct ear ear;
    char *bytes = calloc(1, STORE_MESSAGE_MAX + 1);
    char channel[STORE_CHANNEL_MAX + 1];
    (void)state;
    assert_non_null(bytes);
    memset(channel, 'c', sizeof channel);
    struct slice whole = slice_of(bytes, STORE_MESSAGE_MAX), odd = SLICE("\0\r\n$-1\xff");
    begin_to_listen(&ear, "a\r\nb");
    rig_until(has_heard(&ear, "<"));
    assert_ok(store_publish(store, 0, SLICE("a\r\nb"), odd, NEVER));
    assert_ok(store_publish(store, 0, SLICE("a\r\nb"), SLICE_NONE, NEVER));
    assert_ok(store_publish(store, 0, SLICE("a\r\nb"), whole, NEVER));
    rig_until(ear.heard.size == 1 + odd.size + 1 + 1 + whole.size + 1);
    assert_true(slice_equal(slice_of(ear.heard.data + 1, odd.size), odd));
    whole.size++;
    assert_status(store_publish(store, 0, SLICE("a\r\nb"), whole, NEVER), TOO_LARGE);
    struct slice longest = slice_of(channel, STORE_CHANNEL_MAX + 1);
    assert_status(store_publish(store, 0, longest, SLICE(""), NEVER), TOO_LARGE);
    struct store_listener none = {.channel = longest, .hear = write_heard};
    assert_status(store_subscribe(store, &none), TOO_LARGE);
    store_unsubscribe(&none);
    stop(&ear);
    free(bytes);
}

static void it_describes_itself(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    struct json_writer writer;
    assert_ok(set("a", "one", HOUR));
    json_writer_init(&writer, &text, 0);
    store_describe(store, &writer);
    assert_true(text.size > 2 && text.data[0] == '{' && text.data[text.size - 1] == '}');
    text_release(&text);
}

#define CASES(kind)                                                                               \
    cmocka_unit_test_setup_teardown(what_is_set_is_there, set_up_##kind, tear_down),              \
        cmocka_unit_test_setup_teardown(keys_and_values_are_any_bytes, set_up_##kind, tear_down), \
        cmocka_unit_test_setup_teardown(sizes_have_bounds, set_up_##kind, tear_down),             \
        cmocka_unit_test_setup_teardown(what_has_ended_is_gone, set_up_##kind, tear_down),        \
        cmocka_unit_test_setup_teardown(the_first_to_add_wins, set_up_##kind, tear_down),         \
        cmocka_unit_test_setup_teardown(                                                          \
            a_lease_is_renewed_by_who_has_it, set_up_##kind, tear_down),                          \
        cmocka_unit_test_setup_teardown(swaps_want_what_is_there, set_up_##kind, tear_down),      \
        cmocka_unit_test_setup_teardown(counters_count, set_up_##kind, tear_down),                \
        cmocka_unit_test_setup_teardown(                                                          \
            a_counters_time_runs_from_the_first, set_up_##kind, tear_down),                       \
        cmocka_unit_test_setup_teardown(scripts_run, set_up_##kind, tear_down),                   \
        cmocka_unit_test_setup_teardown(many_at_once_agree, set_up_##kind, tear_down),            \
        cmocka_unit_test_setup_teardown(who_listens_hears_in_order, set_up_##kind, tear_down),    \
        cmocka_unit_test_setup_teardown(                                                          \
            messages_are_any_bytes_within_bounds, set_up_##kind, tear_down),                      \
        cmocka_unit_test_setup_teardown(it_describes_itself, set_up_##kind, tear_down)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {CASES(memory), CASES(durable), CASES(redis)};
    const struct CMUnitTest by_module[] = {CASES(postgres)};
    int failed = cmocka_run_group_tests_name("stores", tests, NULL, NULL);
    postgres = postgres_server_new();
    if (postgres) /* where it is installed */
        failed += cmocka_run_group_tests_name("stores by modules", by_module, NULL, NULL);
    postgres_server_free(postgres);
    return failed;
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
