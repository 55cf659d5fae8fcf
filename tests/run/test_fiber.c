#include "run/fiber.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "run/loop.h"
#include "run/timer.h"
#include "support/unit.h"

static struct text story;
static char story_room[256];

static void tell(const char *word)
{
    text_add(&story, slice_of_text(word));
}

static void run(fiber_function *main_fiber)
{
    story = text_fixed(story_room, sizeof story_room - 1);
    assert_ok(loop_run_main(NULL, main_fiber, NULL));
    story_room[story.size] = 0;
}

static void say_twice(void *argument)
{
    tell(argument);
    fiber_yield();
    tell(argument);
}

static void take_turns(void *argument)
{
    (void)argument;
    struct scope *scope = loop_scope(loop_current());
    assert_ok(scope_start(scope, say_twice, "a"));
    assert_ok(scope_start(scope, say_twice, "b"));
    tell("main ");
}

static void fibers_run_in_order_of_start(void **state)
{
    (void)state;
    run(take_turns);
    assert_string_equal(story_room, "main abab");
}

static void wait_past_deadline(void *argument)
{
    (void)argument;
    instant before = loop_now();
    assert_status(fiber_wait(before + 20 * MILLISECOND), TIMEOUT);
    int64_t took = clock_now() - before;
    assert_true(took >= 19 * MILLISECOND);
    assert_status(fiber_wait(loop_now()), TIMEOUT);
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
}

static void deadlines_end_a_wait(void **state)
{
    (void)state;
    run(wait_past_deadline);
}

static void wake(void *argument)
{
    fiber_wake(argument);
    fiber_wake(argument);
}

static void be_woken(void *argument)
{
    (void)argument;
    struct scope *scope = loop_scope(loop_current());
    fiber_wake(fiber_current()); /* not parked: no effect */
    scope_start(scope, wake, fiber_current());
    assert_ok(fiber_wait(loop_now() + 10 * SECOND));
    /* The second wake had no effect, and the deadline of the first wait is forgotten. */
    assert_status(fiber_wait(loop_now() + 3 * MILLISECOND), TIMEOUT);
}

static void a_wake_ends_one_wait(void **state)
{
    (void)state;
    run(be_woken);
}

static void count_one(void *argument)
{
    ++*(int *)argument;
}

static void be_long(void *argument)
{
    (void)argument;
    int count = 0;
    fiber_yield(); /* a round begins */
    scope_start(loop_scope(loop_current()), count_one, &count);
    for (instant end = clock_now() + 3 * MILLISECOND; clock_now() < end;)
        continue;
    assert_int_equal(count, 0);
    fiber_give_way();
    assert_int_equal(count, 1);
}

static void who_takes_long_gives_way(void **state)
{
    (void)state;
    run(be_long);
}

static void later_deadline(void *argument)
{
    (void)argument;
    struct scope *scope = loop_scope(loop_current());
    scope_start(scope, wake, fiber_current());
    assert_ok(fiber_wait(loop_now() + 5 * MILLISECOND));
    instant before = loop_now();
    assert_status(fiber_wait(loop_now() + 30 * MILLISECOND), TIMEOUT);
    assert_true(loop_now() - before >= 29 * MILLISECOND);
    scope_start(scope, wake, fiber_current());
    assert_ok(fiber_wait(loop_now() + 10 * SECOND));
    before = loop_now();
    assert_status(fiber_wait(loop_now() + 5 * MILLISECOND), TIMEOUT);
    assert_true(loop_now() - before < 5 * SECOND);
}

static void a_new_deadline_replaces_the_old_one(void **state)
{
    (void)state;
    run(later_deadline);
}

static void wake_later(void *argument)
{
    fiber_sleep_until(loop_now() + 10 * MILLISECOND);
    fiber_wake(argument);
}

static void no_deadline(void *argument)
{
    (void)argument;
    struct scope *scope = loop_scope(loop_current());
    scope_start(scope, wake, fiber_current());
    assert_ok(fiber_wait(loop_now() + 3 * MILLISECOND));
    scope_start(scope, wake_later, fiber_current());
    assert_ok(fiber_wait(NEVER)); /* the first deadline has passed meanwhile */
}

static void an_old_deadline_is_forgotten(void **state)
{
    (void)state;
    run(no_deadline);
}

struct sleeper {
    instant until;
    struct fiber *fiber, *victim;
    enum status outcome;
};

static void sleep_then_cancel(void *argument)
{
    struct sleeper *sleeper = argument;
    sleeper->fiber = fiber_current();
    sleeper->outcome = fiber_sleep_until(sleeper->until);
    if (sleeper->victim)
        fiber_cancel(sleeper->victim);
}

/* Both are woken in one round, and the first cancels the second before that has run. */
static void cancel_at_the_last_moment(void *argument)
{
    instant until = loop_now() + 5 * MILLISECOND;
    struct sleeper first = {.until = until}, second = {.until = until};
    struct scope scope;
    (void)argument;
    scope_init(&scope);
    assert_ok(scope_start(&scope, sleep_then_cancel, &first));
    assert_ok(scope_start(&scope, sleep_then_cancel, &second));
    fiber_yield();
    first.victim = second.fiber;
    second.victim = NULL;
    assert_ok(scope_wait(&scope, NEVER));
    assert_ok(first.outcome);
    assert_status(second.outcome, CANCELLED);
}

static void a_sleep_that_is_over_is_cancelled_still(void **state)
{
    (void)state;
    run(cancel_at_the_last_moment);
}

static void sleep_long(void *argument)
{
    enum status *ret = argument;
    *ret = fiber_sleep_until(loop_now() + HOUR);
}

static void wait_shielded(void *argument)
{
    enum status *results = argument;
    fiber_shield();
    fiber_shield();
    results[0] = fiber_wait(loop_now() + 2 * MILLISECOND);
    fiber_unshield();
    results[1] = fiber_wait(loop_now() + 1 * MILLISECOND);
    fiber_unshield();
    results[2] = fiber_wait(loop_now() + 1 * MILLISECOND);
    results[3] = fiber_wait(NEVER);
    results[4] = fiber_is_cancelled(fiber_current()) ? OK : INVALID;
}

static void cancel_others(void *argument)
{
    (void)argument;
    enum status slept = OK, results[5];
    struct scope scope;
    scope_init(&scope);
    assert_ok(scope_start(&scope, sleep_long, &slept));
    assert_ok(scope_start(&scope, wait_shielded, results));
    fiber_yield();
    scope_end(&scope);
    assert_status(slept, CANCELLED);
    assert_status(results[0], TIMEOUT);
    assert_status(results[1], TIMEOUT);
    assert_status(results[2], CANCELLED);
    assert_status(results[3], CANCELLED);
    assert_ok(results[4]);
}

static void cancellation_is_sticky_and_shields_hold(void **state)
{
    (void)state;
    run(cancel_others);
}

static void fill_the_stack(void *argument)
{
    volatile char frame[40 * 1024];
    for (size_t i = 0; i < sizeof frame; i += 512)
        frame[i] = (char)i;
    fiber_yield();
    for (size_t i = 0; i < sizeof frame; i += 512)
        assert_int_equal(frame[i], (char)i);
    *(int *)argument += 1;
}

static void use_whole_stacks(void *argument)
{
    (void)argument;
    int done = 0;
    struct scope scope;
    scope_init(&scope);
    for (int i = 0; i < 300; i++)
        assert_ok(scope_start(&scope, fill_the_stack, &done));
    assert_ok(scope_wait(&scope, NEVER));
    assert_int_equal(done, 300);
}

static void stacks_are_apart(void **state)
{
    (void)state;
    run(use_whole_stacks);
}

static void count_to(void *argument)
{
    double x = 1.5;
    for (int i = 0; i < 100; i++) {
        x = x * 1.01;
        fiber_yield();
    }
    *(double *)argument += x;
}

static void compute(void *argument)
{
    (void)argument;
    double sum = 0;
    struct scope scope;
    scope_init(&scope);
    scope_start(&scope, count_to, &sum);
    scope_start(&scope, count_to, &sum);
    scope_wait(&scope, NEVER);
    assert_true(sum > 8.1 && sum < 8.2);
}

static void registers_survive_a_switch(void **state)
{
    (void)state;
    run(compute);
}

static void wait_outside(struct timer *timer)
{
    (void)timer;
    fiber_wait(NEVER);
}

static void wait_in_a_callback(void *argument)
{
    (void)argument;
    struct timer timer;
    timer_init(&timer, wait_outside);
    timer_set(&timer, loop_now());
    fiber_sleep_until(loop_now() + SECOND);
}

/* In a child process, since the program ends. */
static void waiting_outside_a_fiber_is_a_bug(void **state)
{
    (void)state;
    int outcome;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        close(STDERR_FILENO);
        loop_run_main(NULL, wait_in_a_callback, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &outcome, 0), pid);
    assert_true(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGABRT);
}

struct expired {
    struct fiber *fiber;
    enum status first, second;
};

static void wait_for_ever(void *argument)
{
    struct expired *expired = argument;
    expired->fiber = fiber_current();
    expired->first = fiber_wait(NEVER);
    expired->second = fiber_wait(loop_now() + MILLISECOND);
}

static void expire_another(void *argument)
{
    struct expired *expired = argument;
    assert_ok(scope_start(loop_scope(loop_current()), wait_for_ever, expired));
    fiber_yield();
    fiber_expire(expired->fiber);
    fiber_wake(expired->fiber); /* too late */
    fiber_expire(fiber_current());
    assert_ok(fiber_sleep_until(loop_now() + 5 * MILLISECOND));
}

static void a_wait_can_be_expired(void **state)
{
    (void)state;
    struct expired expired = {NULL, OK, OK};
    assert_ok(loop_run_main(NULL, expire_another, &expired));
    assert_status(expired.first, TIMEOUT);
    assert_status(expired.second, TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fibers_run_in_order_of_start),
        cmocka_unit_test(deadlines_end_a_wait),
        cmocka_unit_test(who_takes_long_gives_way),
        cmocka_unit_test(a_wake_ends_one_wait),
        cmocka_unit_test(a_sleep_that_is_over_is_cancelled_still),
        cmocka_unit_test(a_new_deadline_replaces_the_old_one),
        cmocka_unit_test(an_old_deadline_is_forgotten),
        cmocka_unit_test(cancellation_is_sticky_and_shields_hold),
        cmocka_unit_test(a_wait_can_be_expired),
        cmocka_unit_test(stacks_are_apart),
        cmocka_unit_test(registers_survive_a_switch),
        cmocka_unit_test(waiting_outside_a_fiber_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
