/* What was asked before is not asked again, and what is being asked for not twice: on one worker,
 * on several, when who asks fails, is slow, or is given up. */
#include "policy/recall.h"

#include "run/loop.h"
#include "run/scope.h"
#include "support/on_loop.h"
#include "support/world.h"
#include "support/unit.h"

#include <pthread.h>
#include <stdio.h>

static struct world *world;
static struct recall *recall;

/* Who is asked. */
static struct authority {
    _Atomic int asked;
    enum status outcome;
    int64_t lasts; /* until the answer is forgotten; 0: at once */
    int64_t takes; /* until it answers */
    size_t size;   /* bytes of the answer */
    struct fiber *asker;
} authority;

static int setup(void **state)
{
    (void)state;
    world = world_new();
    world->prepare.name = SLICE("auth.shop");
    authority = (struct authority){.lasts = HOUR};
    assert_ok(recall_obtain(&world->prepare, SLICE("one"), (size_t)1 << 20, &recall));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

static enum status ask(void *context, const struct exchange *x, struct recalled *recalled)
{
    (void)context;
    int number = ++authority.asked;
    authority.asker = fiber_current();
    enum status e = OK;
    if (authority.takes)
        e = fiber_sleep_until(clock_sooner(x->deadline, clock_after(loop_now(), authority.takes)));
    if (e || authority.outcome)
        return e ? e : authority.outcome;
    recalled->until = authority.lasts ? clock_after(clock_now(), authority.lasts) : 0;
    recalled->value = arena_alloc(&recalled->arena, authority.size ? authority.size : sizeof(int));
    assert_non_null(recalled->value);
    *(int *)recalled->value = number;
    return OK;
}

/* The number of the answer, or minus the failure. */
static int get_within(const char *key, instant deadline)
{
    struct exchange x = {.deadline = deadline};
    struct recalled *recalled;
    bool was_known;
    enum status e = recall_get(recall, &x, slice_of_text(key), ask, NULL, &recalled, &was_known);
    if (e)
        return -(int)e;
    int number = *(int *)recalled->value;
    recalled_unref(recalled);
    return number;
}

static int get(const char *key)
{
    return get_within(key, NEVER);
}

static void test_known(void **state)
{
    (void)state;
    assert_int_equal(get("a"), 1);
    assert_int_equal(get("a"), 1);
    assert_int_equal(get("b"), 2);
    assert_int_equal(get("a"), 1);
    authority.lasts = 0;
    assert_int_equal(get("c"), 3);
    assert_int_equal(get("c"), 4);
    authority.lasts = 1;
    assert_int_equal(get("d"), 5);
    assert_int_equal(get("d"), 6);
}

static void test_failure_is_not_remembered(void **state)
{
    (void)state;
    authority.outcome = UPSTREAM_REFUSED;
    assert_int_equal(get("a"), -UPSTREAM_REFUSED);
    authority.outcome = OK;
    assert_int_equal(get("a"), 2);
}

static void test_renewal(void **state)
{
    (void)state;
    struct exchange x = {.deadline = NEVER};
    assert_int_equal(get("a"), 1);
    authority.outcome = UPSTREAM_REFUSED;
    assert_status(recall_renew(recall, &x, SLICE("a"), ask, NULL), UPSTREAM_REFUSED);
    assert_int_equal(get("a"), 1);
    authority.outcome = OK;
    assert_ok(recall_renew(recall, &x, SLICE("a"), ask, NULL));
    assert_int_equal(get("a"), 3);
}

static void test_forgetting(void **state)
{
    (void)state;
    struct exchange x = {.deadline = NEVER};
    struct recalled *old;
    bool was_known;
    assert_ok(recall_get(recall, &x, SLICE("a"), ask, NULL, &old, &was_known));
    assert_false(was_known);
    recall_forget(recall, old);
    assert_int_equal(get("a"), 2);
    recall_forget(recall, old); /* that one, not the new one */
    assert_int_equal(get("a"), 2);
    assert_int_equal(*(int *)old->value, 1);
    recalled_unref(old);
}

static void test_reload(void **state)
{
    (void)state;
    struct recall *same, *other;
    assert_int_equal(get("a"), 1);
    assert_ok(recall_obtain(&world->prepare, SLICE("one"), (size_t)1 << 20, &same));
    assert_ptr_equal(same, recall);
    assert_ok(recall_obtain(&world->prepare, SLICE("two"), (size_t)1 << 20, &other));
    assert_ptr_not_equal(other, recall);
}

static bool has_metric(const char *line)
{
    struct text text = text_growing(0);
    metrics_export(world->metrics, &text);
    text_add_char(&text, '\0');
    bool found = strstr(text.data, line);
    text_release(&text);
    return found;
}

/* Whatever keys there are, it stays at its size, and who is used stays. */
static void test_room(void **state)
{
    (void)state;
    char key[32];
    authority.size = 4096;
    assert_int_equal(get("often"), 1);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        assert_int_equal(get(key), i + 2);
        assert_int_equal(get("often"), 1);
    }
    int before = authority.asked;
    assert_int_equal(get("key 0"), before + 1);
    assert_int_equal(get("key 1999"), 2001);
    assert_false(has_metric("weir_recall_evictions_total{policy=\"auth.shop\"} 0\n"));
    authority.size = 100000; /* too large to be remembered */
    assert_int_equal(get("large"), before + 2);
    assert_int_equal(get("large"), before + 3);
}

/* --- at a time */

#define CROWD 20

static struct crowd {
    struct scope scope;
    int answers[CROWD];
    int count;
    instant deadline;
} crowd;

static void run_one(void *argument)
{
    *(int *)argument = get_within("a", crowd.deadline);
}

/* All begin before any is answered. */
static void gather(int count)
{
    scope_init(&crowd.scope);
    crowd.deadline = NEVER;
    for (int i = 0; i < count; i++) {
        crowd.answers[i] = 0;
        assert_ok(scope_start(&crowd.scope, run_one, &crowd.answers[i]));
    }
    fiber_yield();
}

static void test_one_asks(void **state)
{
    (void)state;
    authority.takes = 5 * MILLISECOND;
    gather(CROWD);
    assert_ok(scope_wait(&crowd.scope, NEVER));
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(crowd.answers[i], 1);
    authority.lasts = 0; /* told to who waits, but not remembered */
    assert_int_equal(get("b"), 2);
    recall = NULL;
    assert_ok(recall_obtain(&world->prepare, SLICE("two"), (size_t)1 << 20, &recall));
    gather(CROWD);
    assert_ok(scope_wait(&crowd.scope, NEVER));
    assert_int_equal(authority.asked, 3);
}

static void test_failure_is_shared(void **state)
{
    (void)state;
    authority.takes = 5 * MILLISECOND;
    authority.outcome = UPSTREAM_REFUSED;
    gather(CROWD);
    assert_ok(scope_wait(&crowd.scope, NEVER));
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(crowd.answers[i], -UPSTREAM_REFUSED);
    assert_int_equal(authority.asked, 1);
}

static void test_asker_is_given_up(void **state)
{
    (void)state;
    authority.takes = HOUR;
    gather(CROWD);
    assert_int_equal(authority.asked, 1);
    authority.takes = 0;
    fiber_cancel(authority.asker);
    assert_ok(scope_wait(&crowd.scope, NEVER));
    assert_int_equal(authority.asked, 2);
    for (int i = 1; i < CROWD; i++)
        assert_int_equal(crowd.answers[i], 2);
    assert_int_equal(crowd.answers[0], -CANCELLED);
}

static void test_who_waits_is_given_up(void **state)
{
    (void)state;
    authority.takes = HOUR;
    gather(3);
    assert_int_equal(get_within("a", clock_after(loop_now(), MILLISECOND)), -TIMEOUT);
    scope_end(&crowd.scope);
    for (int i = 0; i < 3; i++)
        assert_int_equal(crowd.answers[i], -CANCELLED);
    authority.takes = 0;
    int before = authority.asked;
    assert_int_equal(get("a"), before + 1);
}

/* --- on several threads */

#define THREADS 4
#define ROUNDS  300

static void run_rounds(void *argument)
{
    char key[32];
    int *failures = argument;
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(key, sizeof key, "round %d", i);
        struct exchange x = {.deadline = clock_after(loop_now(), i % 10 ? HOUR : i * 1000)};
        struct recalled *recalled;
        bool was_known;
        enum status e =
            recall_get(recall, &x, slice_of_text(key), ask, NULL, &recalled, &was_known);
        if (e != OK && e != TIMEOUT)
            ++*failures;
        if (e == OK)
            recalled_unref(recalled);
    }
}

static void run_crew(void *argument)
{
    struct scope scope;
    scope_init(&scope);
    for (int i = 0; i < 8; i++)
        if (scope_start(&scope, run_rounds, argument))
            ++*(int *)argument;
    (void)scope_wait(&scope, NEVER);
}

static void *run_thread(void *argument)
{
    if (loop_run_main(NULL, run_crew, argument))
        ++*(int *)argument;
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int failures[THREADS] = {0};
    authority.takes = 100 * MICROSECOND;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_thread, &failures[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(failures[i], 0);
    }
    /* Once a key, but for those whose asker had no time. */
    assert_in_range(authority.asked, ROUNDS, ROUNDS + ROUNDS / 10 * 8 * THREADS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {TEST(test_known), TEST(test_failure_is_not_remembered),
        TEST(test_renewal), TEST(test_forgetting), TEST(test_reload), TEST(test_room),
        TEST(test_one_asks), TEST(test_failure_is_shared), TEST(test_asker_is_given_up),
        TEST(test_who_waits_is_given_up), TEST(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
