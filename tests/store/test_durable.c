/* The durable store as fibers see it; what a store has to do besides is tested in test_stores.c. */
#include "store/durable.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "run/loop.h"
#include "support/on_loop.h"
#include "support/store_rig.h"
#include "support/unit.h"

static struct store_rig *rig;
static struct store *store;
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    rig = store_rig_new();
    arena_init(&arena, 0, 0);
    store = store_rig_durable(rig);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    store_rig_free(rig);
    return 0;
}

static sqlite3 *open_beside(void)
{
    char path[STORE_RIG_PATH_MAX + 16];
    sqlite3 *other;
    snprintf(path, sizeof path, "%s/state.db", rig->folder);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    return other;
}

static void a_reload_keeps_it(void **state)
{
    struct slice there;
    (void)state;
    assert_ok(store_set(store, 0, SLICE("a"), SLICE("one"), HOUR, NEVER));
    assert_ptr_equal(store_rig_durable(rig), store);
    arena_release(&rig->world->arena);
    assert_int_equal(registry_count(rig->world->registry), 0);
    store = store_rig_durable(rig);
    assert_ok(store_get(store, 0, SLICE("a"), NEVER, &arena, &there));
    assert_slice(there, "one");
}

/* Until the thread has begun all that it was given. */
static bool is_begun(void)
{
    struct text text = text_growing(0);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    store_describe(store, &writer);
    bool is_so = slice_find_slice(text_slice(&text), SLICE("\"pending\":0")) < text.size;
    text_release(&text);
    return is_so;
}

static enum status first;

static void set_first(void *argument)
{
    (void)argument;
    first = store_set(store, 0, SLICE("first"), SLICE("x"), HOUR, NEVER);
}

/* Another process has the file, and the first of us waits for it. */
static sqlite3 *begin_behind_another(struct scope *scope)
{
    sqlite3 *other = open_beside();
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    scope_init(scope);
    assert_ok(scope_start(scope, set_first, NULL));
    fiber_yield();
    rig_until(is_begun());
    return other;
}

static void what_was_not_begun_in_time_is_not_done(void **state)
{
    struct scope scope;
    struct slice there;
    (void)state;
    sqlite3 *other = begin_behind_another(&scope);
    assert_status(
        store_set(store, 0, SLICE("second"), SLICE("x"), HOUR, loop_now() + 20 * MILLISECOND),
        STORE_UNAVAILABLE);
    sqlite3_close(other);
    assert_ok(scope_wait(&scope, NEVER));
    scope_end(&scope);
    assert_ok(first);
    assert_ok(store_set(store, 0, SLICE("third"), SLICE("x"), HOUR, NEVER));
    assert_status(store_get(store, 0, SLICE("second"), NEVER, &arena, &there), NOT_FOUND);
}

static void what_was_begun_is_done_though_nobody_waits(void **state)
{
    struct scope scope;
    struct slice there;
    (void)state;
    sqlite3 *other = begin_behind_another(&scope);
    scope_end(&scope);
    assert_status(first, CANCELLED);
    sqlite3_close(other);
    assert_ok(store_get(store, 0, SLICE("first"), NEVER, &arena, &there));
}

/* What is too much fails by itself; what came with it does not. */
static enum status large, small;
static char bytes[STORE_VALUE_MAX];

static void set_large(void *argument)
{
    (void)argument;
    large = store_set(store, 0, SLICE("large"), slice_of(bytes, sizeof bytes), HOUR, NEVER);
}

static void set_small(void *argument)
{
    (void)argument;
    small = store_set(store, 0, SLICE("small"), SLICE("x"), HOUR, NEVER);
}

static struct store *small_store(void)
{
    char text[STORE_RIG_PATH_MAX + 128];
    struct store *other;
    snprintf(
        text, sizeof text, "{file: \"%s/small.db\", size-max: 1MiB, timeout: 60s}", rig->folder);
    struct state_options *options = world_read(rig->world, &state_table, text);
    assert_ok(durable_obtain(rig->stores, &rig->world->reader, options, &other));
    return other;
}

static void one_that_cannot_be_done_takes_no_others_with_it(void **state)
{
    struct scope scope;
    struct slice there;
    (void)state;
    store = small_store();
    for (int i = 0; i < 5; i++) {
        scope_init(&scope);
        assert_ok(scope_start(&scope, set_large, NULL));
        assert_ok(scope_start(&scope, set_small, NULL));
        assert_ok(scope_start(&scope, set_large, NULL));
        assert_ok(scope_wait(&scope, NEVER));
        scope_end(&scope);
        assert_status(large, STORE_UNAVAILABLE);
        assert_ok(small);
    }
    assert_ok(store_get(store, 0, SLICE("small"), NEVER, &arena, &there));
    assert_status(store_get(store, 0, SLICE("large"), NEVER, &arena, &there), NOT_FOUND);
}

static void trouble_is_shown_while_there_is_any(void **state)
{
    struct text text = text_growing(0);
    struct json_writer writer;
    (void)state;
    store = small_store();
    set_large(NULL);
    json_writer_init(&writer, &text, 0);
    store_describe(store, &writer);
    assert_true(slice_find_slice(text_slice(&text), SLICE("\"state\":\"failing\"")) < text.size);
    assert_true(slice_find_slice(text_slice(&text), SLICE("there is no room")) < text.size);
    text_clear(&text);
    set_small(NULL);
    json_writer_init(&writer, &text, 0);
    store_describe(store, &writer);
    assert_true(slice_find_slice(text_slice(&text), SLICE("\"state\":\"good\"")) < text.size);
    assert_true(slice_find_slice(text_slice(&text), SLICE("\"trouble\":null")) < text.size);
    text_release(&text);
}

static void questions_share_steps(void **state)
{
    struct scope scope;
    (void)state;
    uint64_t before = rig->stores->durable_commits;
    scope_init(&scope);
    for (int i = 0; i < 64; i++)
        assert_ok(scope_start(&scope, set_small, NULL));
    assert_ok(scope_wait(&scope, NEVER));
    scope_end(&scope);
    assert_true(rig->stores->durable_commits - before < 64);
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reload_keeps_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_begun_in_time_is_not_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_was_begun_is_done_though_nobody_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            one_that_cannot_be_done_takes_no_others_with_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trouble_is_shown_while_there_is_any, set_up, tear_down),
        cmocka_unit_test_setup_teardown(questions_share_steps, set_up, tear_down)};
    return cmocka_run_group_tests_name("durable", tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
