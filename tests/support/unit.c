#include "support/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

void check_slice(struct slice s, struct slice expected, const char *file, int line)
{
    if (slice_equal(s, expected))
        return;
    print_error("\"%.*s\" should be \"%.*s\"\n", SLICE_ARG(s), SLICE_ARG(expected));
    _fail(file, line);
}

void check_status(enum status e, enum status expected, const char *file, int line)
{
    if (e == expected)
        return;
    print_error("%s should be %s\n", status_word(e), status_word(expected));
    _fail(file, line);
}

/* In a child that says nothing and leaves no core. */
void check_aborts(void (*call)(void), const char *file, int line)
{
    int result;
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        call();
        _exit(0);
    }
    if (child > 0 && waitpid(child, &result, 0) == child && WIFSIGNALED(result) &&
        WTERMSIG(result) == SIGABRT)
        return;
    print_error("it should have aborted\n");
    _fail(file, line);
}
