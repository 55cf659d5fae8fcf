#include "base/must.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/unit.h"

static void what_holds_goes_on(void **state)
{
    (void)state;
    int evaluated = 0;
    must(++evaluated);
    assert_int_equal(evaluated, 1);
}

static void break_a_promise(int output)
{
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    dup2(output, STDERR_FILENO);
    must(1 > 2);
    _exit(0);
}

static void what_does_not_hold_aborts(void **state)
{
    (void)state;
    int ends[2], result;
    char said[512];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        break_a_promise(ends[1]);
    close(ends[1]);
    ssize_t size = read(ends[0], said, sizeof said - 1);
    assert_true(size > 0);
    said[size] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGABRT);
    assert_non_null(strstr(said, "\"1 > 2\" does not hold"));
    assert_non_null(strstr(said, "test_must.c:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_goes_on),
        cmocka_unit_test(what_does_not_hold_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
