#include "run/stacks.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/loop.h"
#include "support/unit.h"

#ifdef CHECKED_VALGRIND
#define ON_VALGRIND RUNNING_ON_VALGRIND
#else
#define ON_VALGRIND 0
#endif

static void the_last_one_given_is_taken_first(void **state)
{
    (void)state;
    struct stacks stacks;
    stacks_init(&stacks, 0, 1000);
    struct fiber *a = stacks_take(&stacks), *b = stacks_take(&stacks);
    assert_ptr_not_equal(a, b);
    assert_true((char *)a - (char *)stack_bottom(&stacks, a) > 60 * 1024);
    stacks_give(&stacks, a);
    stacks_give(&stacks, b);
    assert_ptr_equal(stacks_take(&stacks), b);
    assert_ptr_equal(stacks_take(&stacks), a);
    stacks_give(&stacks, a);
    stacks_give(&stacks, b);
    stacks_release(&stacks);
}

static void trimming_keeps_what_is_needed(void **state)
{
    (void)state;
    enum { MANY = 700 };
    static struct fiber *taken[MANY];
    struct stacks stacks;
    stacks_init(&stacks, 0, 300);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            taken[i] = stacks_take(&stacks);
            memset(stack_bottom(&stacks, taken[i]), 1, 100);
        }
        for (size_t i = 0; i < MANY; i++)
            stacks_give(&stacks, taken[i]);
        stacks_trim(&stacks);
        assert_int_equal(stacks.free_count, 300);
    }
    /* 100 are in use now and then: they stay, and half of the others go each time. */
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 100; i++)
            taken[i] = stacks_take(&stacks);
        for (size_t i = 0; i < 100; i++)
            stacks_give(&stacks, taken[i]);
        stacks_trim(&stacks);
        if (round == 0)
            assert_int_equal(stacks.free_count, 200);
    }
    assert_in_range(stacks.free_count, 100, 102);
    assert_int_equal(stacks.count, stacks.free_count);
    for (int round = 0; round < 20; round++)
        stacks_trim(&stacks);
    assert_int_equal(stacks.free_count, STACKS_FREE_LEAST);
    stacks_release(&stacks);
}

/* What a child process says on stderr, and how it ends. */
static int child(void (*run)(void), char *ret_text, size_t room)
{
    int pipes[2], outcome;
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(pipes[1], STDERR_FILENO);
        run();
        _exit(0);
    }
    close(pipes[1]);
    size_t size = 0;
    for (ssize_t n; (n = read(pipes[0], ret_text + size, room - 1 - size)) > 0;)
        size += (size_t)n;
    ret_text[size] = 0;
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &outcome, 0), pid);
    return outcome;
}

static bool guards_by_mprotect;

static void write_below_a_stack(void)
{
    struct stacks stacks;
    signal(SIGSEGV, SIG_DFL);
    stacks_init(&stacks, 0, 10);
    stacks.guards_by_mprotect = guards_by_mprotect;
    volatile char *bottom = stack_bottom(&stacks, stacks_take(&stacks));
    bottom[0] = 1;
    if (stacks_find_overflow(&stacks, (char *)bottom - 1) &&
        !stacks_find_overflow(&stacks, (char *)bottom))
        bottom[-1] = 1;
}

static void a_guard_lies_below_each_stack(void **state)
{
    (void)state;
    char text[4096];
    for (int i = 0; i < 2; i++) {
        guards_by_mprotect = i == 1;
        int outcome = child(write_below_a_stack, text, sizeof text);
        assert_true(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGSEGV);
    }
}

static int sink(int depth)
{
    volatile char frame[1000];
    frame[0] = (char)depth;
    return depth > 10000000 ? 0 : sink(depth + 1) + frame[0];
}

static void recurse(void *argument)
{
    *(volatile int *)argument = sink(0);
}

static void overflow_a_fiber(void)
{
    int result;
    fiber_report_overflow_init();
    loop_run_main(NULL, recurse, &result);
}

static void write_to_nowhere(void *argument)
{
    (void)argument;
    *(volatile char *)(intptr_t)100000 = 1;
}

static void fault_otherwise(void)
{
    fiber_report_overflow_init();
    loop_run_main(NULL, write_to_nowhere, NULL);
}

static void an_overflow_is_told(void **state)
{
    (void)state;
    char text[4096];
    int outcome = child(overflow_a_fiber, text, sizeof text);
    assert_non_null(strstr(text, "weir: stack overflow in a fiber"));
    assert_true(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGSEGV);
    outcome = child(fault_otherwise, text, sizeof text);
    assert_null(strstr(text, "overflow in a fiber"));
    assert_true(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGSEGV);
}

/* Under the tools a stack costs many times more. */
#ifdef CHECKED_THREAD
#define FIBERS 300
#else
#define FIBERS (CHECKED_STACK_FACTOR > 1 || ON_VALGRIND ? 3000 : 100000)
#endif

static long resident_kilobytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void park(void *argument)
{
    ++*(int *)argument;
    assert_status(fiber_wait(NEVER), CANCELLED);
    --*(int *)argument;
}

static void park_many(void *argument)
{
    (void)argument;
    int parked = 0, wanted = FIBERS;
    struct scope scope;
    long before = resident_kilobytes();
    instant began = clock_now();
    scope_init(&scope);
    for (int i = 0; i < wanted; i++)
        assert_ok(scope_start(&scope, park, &parked));
    while (parked < wanted)
        fiber_yield();
    print_message("%d parked fibers: %.1f KiB of memory each, started in %.2f us each\n", wanted,
        (double)(resident_kilobytes() - before) / wanted,
        (double)(clock_now() - began) / 1e3 / wanted);
    scope_end(&scope);
    assert_int_equal(parked, 0);
}

static bool can_guard_cheaply(void)
{
    struct stacks stacks;
    stacks_init(&stacks, 0, 10);
    stacks_give(&stacks, stacks_take(&stacks));
    bool can = !stacks.guards_by_mprotect;
    stacks_release(&stacks);
    return can;
}

static void a_hundred_thousand_fibers_can_wait(void **state)
{
    (void)state;
    if (!can_guard_cheaply()) {
        print_message("skipped: this kernel has no MADV_GUARD_INSTALL\n");
        skip();
    }
    assert_ok(loop_run_main(NULL, park_many, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_one_given_is_taken_first),
        cmocka_unit_test(trimming_keeps_what_is_needed),
        cmocka_unit_test(a_guard_lies_below_each_stack),
        cmocka_unit_test(an_overflow_is_told),
        cmocka_unit_test(a_hundred_thousand_fibers_can_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
