/* What gdb shows of fibers. With the argument "stop" this program is what is debugged: it parks a
 * fiber and then stops in another; else it runs gdb on itself. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/checked.h"
#include "run/loop.h"
#include "run/wait.h"
#include "support/unit.h"

static struct wait_queue queue;

static __attribute__((noinline)) enum status wait_deep_down(int depth)
{
    if (depth > 0)
        return wait_deep_down(depth - 1) + OK;
    return wait_queue_wait(&queue, NEVER);
}

static void wait_for_ever(void *argument)
{
    (void)argument;
    wait_deep_down(3);
}

static void stop_here(void *argument)
{
    wait_queue_init(&queue);
    scope_start(loop_scope(loop_current()), wait_for_ever, argument);
    fiber_yield();
    raise(SIGTRAP);
    _exit(0);
}

static int be_debugged(void)
{
    return loop_run_main(NULL, stop_here, NULL) == OK ? 0 : 1;
}

/* What gdb says when it has run this program to its stop and then these commands. */
static void ask_gdb(const char *commands, char *ret_text, size_t room)
{
    char self[512], line[2048];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(size > 0);
    self[size] = 0;
    snprintf(line, sizeof line,
        "gdb -batch -nx -iex 'set debuginfod enabled off' -iex 'set startup-with-shell off' -ex "
        "run "
        "-ex 'source tools/gdb/weir.py' %s --args '%s' stop 2>&1 </dev/null",
        commands, self);
    FILE *gdb = popen(line, "r");
    assert_non_null(gdb);
    size_t got = fread(ret_text, 1, room - 1, gdb);
    ret_text[got] = 0;
    pclose(gdb);
}

static bool cannot_debug(void)
{
    if (CHECKED_STACK_FACTOR > 1)
        print_message("skipped: not under the sanitizers\n");
    else if (system("command -v gdb >/dev/null") != 0)
        print_message("skipped: there is no gdb\n");
    else
        return false;
    return true;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    while ((text = strstr(text, word))) {
        n++;
        text++;
    }
    return n;
}

#define must_contain(text, word) \
    if (!strstr((text), (word))) \
    fail_msg("no \"%s\" in:\n%s", (word), (text))

static void a_backtrace_ends_where_the_fiber_began(void **state)
{
    (void)state;
    char text[16384];
    if (cannot_debug())
        skip();
    ask_gdb("-ex bt", text, sizeof text);
    must_contain(text, "SIGTRAP");
    must_contain(text, "stop_here");
    must_contain(text, "context_begin");
    assert_null(strstr(text, "corrupt"));
    assert_null(strstr(text, "Backtrace stopped"));
}

static void parked_fibers_are_seen(void **state)
{
    (void)state;
    char text[16384];
    if (cannot_debug())
        skip();
    ask_gdb("-ex 'weir fibers' -ex 'weir bt 1' -ex bt", text, sizeof text);
    must_contain(text, "running  stop_here");
    must_contain(text, "parked  wait_for_ever in wait_deep_down");
    must_contain(text, "wait_queue_wait");
    must_contain(text, "context_begin");
    assert_int_equal(count(text, "wait_deep_down (depth="), 4);
    assert_int_equal(count(text, "in fiber_wait ("), 1);
    must_contain(text, "in stop_here ("); /* the registers are as before */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backtrace_ends_where_the_fiber_began),
        cmocka_unit_test(parked_fibers_are_seen),
    };
    if (argc == 2 && strcmp(argv[1], "stop") == 0)
        return be_debugged();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
