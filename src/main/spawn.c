#include "main/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/slice.h"
#include "base/text.h"
#include "run/descriptor.h"

#define COMMAND_LINE_MAX ((size_t)4 << 20)
#define REPORTS          4  /* in the new program until it is executed: where to report to */
#define HIGH             16 /* descriptors from here on are in nobody's way */

/* What is executed, made ready before the fork: afterwards nothing may be allocated. */
struct program {
    char *path;               /* owned */
    char *command_line;       /* owned: the arguments' texts */
    char **arguments;         /* owned; ends with NULL */
    char **environment;       /* owned, the texts are not; ends with NULL */
    char variable[32];        /* one of those texts */
    int output_in, report_in; /* the pipes' ends to write to */
};

/* What the guardian says. The program's process id comes first, unless it has none. */
struct report {
    enum { STARTED, NOT_STARTED, NOT_EXECUTED, ENDED } kind;
    int value;
};

static enum status read_command_line(struct program *program)
{
    struct text text = text_growing(COMMAND_LINE_MAX);
    FILE *file = fopen("/proc/self/cmdline", "re");
    if (!file)
        return IO_ERROR;
    char block[4096];
    size_t size, words = 0;
    while ((size = fread(block, 1, sizeof block, file)) > 0)
        text_add(&text, slice_of(block, size));
    fclose(file);
    text_add_char(&text, '\0');
    program->command_line = text.data;
    if (text.failed)
        return NO_MEMORY;
    for (size_t i = 0; i < text.size; i++)
        words += text.data[i] == '\0';
    program->arguments = calloc(words + 1, sizeof(char *));
    if (!program->arguments)
        return NO_MEMORY;
    /* The last NUL is our own. */
    char *word = text.data;
    for (size_t i = 0; i + 1 < words; i++, word += strlen(word) + 1)
        program->arguments[i] = word;
    return program->arguments[0] ? OK : IO_ERROR;
}

static bool is_executable(const char *path)
{
    return access(path, X_OK) == 0;
}

/* As a shell looks for it. */
static enum status find_path(const char *name, char **ret_path)
{
    char path[PATH_MAX];
    const char *folders = getenv("PATH");
    if (strchr(name, '/'))
        return (*ret_path = strdup(name)) ? OK : NO_MEMORY;
    while (folders && *folders) {
        int size = (int)strcspn(folders, ":");
        int written = snprintf(path, sizeof path, "%.*s/%s", size, folders, name);
        if (written > 0 && (size_t)written < sizeof path && is_executable(path))
            return (*ret_path = strdup(path)) ? OK : NO_MEMORY;
        folders += size + (folders[size] == ':');
    }
    return NOT_FOUND;
}

static bool is_named(const char *variable, const char *name)
{
    size_t size = strlen(name);
    return !strncmp(variable, name, size) && variable[size] == '=';
}

static bool is_passed_on(const char *variable)
{
    return !is_named(variable, "LISTEN_FDS") && !is_named(variable, "LISTEN_PID") &&
           !is_named(variable, "LISTEN_FDNAMES") && !is_named(variable, SPAWN_VARIABLE);
}

static enum status make_environment(struct program *program)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    program->environment = calloc(count + 2, sizeof(char *));
    if (!program->environment)
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (is_passed_on(environ[i]))
            program->environment[kept++] = environ[i];
    snprintf(program->variable, sizeof program->variable, "%s=%d", SPAWN_VARIABLE, SPAWN_STDERR);
    program->environment[kept] = program->variable;
    return OK;
}

static void program_release(struct program *program)
{
    free(program->path);
    free(program->command_line);
    free((void *)program->arguments);
    free((void *)program->environment);
}

static enum status program_prepare(struct program *program, const char *binary)
{
    enum status e = read_command_line(program);
    if (!e && binary)
        program->arguments[0] = (char *)binary;
    if (!e)
        e = find_path(program->arguments[0], &program->path);
    return e ? e : make_environment(program);
}

/* From here on in the copies: only what is safe after a fork of a process with threads. */

static void report(int to, int kind, int value)
{
    struct report one = {kind, value};
    ssize_t ignored = write(to, &one, sizeof one); /* small enough to be whole */
    (void)ignored;
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void execute(const struct program *program)
{
    int old_stderr = fcntl(STDERR_FILENO, F_DUPFD, HIGH);
    int output = fcntl(program->output_in, F_DUPFD, HIGH);
    int reports = fcntl(program->report_in, F_DUPFD, HIGH);
    dup2(output, STDERR_FILENO);
    if (dup2(old_stderr, SPAWN_STDERR) < 0)
        close(SPAWN_STDERR); /* there is no stderr */
    dup2(reports, REPORTS);
    fcntl(REPORTS, F_SETFD, FD_CLOEXEC);
    close_range(REPORTS + 1, ~0U, 0);
    reset_signals();
    execve(program->path, program->arguments, program->environment);
    report(REPORTS, NOT_EXECUTED, errno);
    _exit(127);
}

static _Noreturn void guard(const struct program *program)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* who started it is gone: nobody listens */
    pid_t pid = fork();
    if (pid == 0)
        execute(program);
    dup2(program->report_in, STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0U, 0);
    report(STDIN_FILENO, pid > 0 ? STARTED : NOT_STARTED, pid > 0 ? (int)pid : errno);
    siginfo_t info = {0};
    while (pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) && errno == EINTR)
        continue;
    if (pid > 0)
        report(STDIN_FILENO, ENDED,
            info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status);
    for (;;)
        pause(); /* the id of the one that has ended stays its own until we go */
}

/* Here in the first process again. */

static enum status open_pipes(struct program *program, struct spawned *spawned)
{
    int output[2], reports[2];
    if (pipe2(output, O_CLOEXEC))
        return IO_ERROR;
    if (pipe2(reports, O_CLOEXEC)) {
        close(output[0]);
        close(output[1]);
        return IO_ERROR;
    }
    program->output_in = output[1];
    program->report_in = reports[1];
    spawned->output = output[0];
    spawned->reports = reports[0];
    fcntl(spawned->output, F_SETFL, O_NONBLOCK);
    return OK;
}

/* The guardian reports at once, so this does not take long. A program that cannot be executed may
 * be quicker. */
static enum status read_start(struct spawned *spawned)
{
    struct report first = {.kind = NOT_EXECUTED};
    while (first.kind == NOT_EXECUTED) {
        ssize_t size = read(spawned->reports, &first, sizeof first);
        if (size < 0 && errno == EINTR)
            continue;
        if (size != (ssize_t)sizeof first || first.kind == NOT_STARTED)
            return NO_MEMORY;
        if (first.kind == NOT_EXECUTED)
            spawned->error = first.value;
    }
    spawned->pid = first.value;
    fcntl(spawned->reports, F_SETFL, O_NONBLOCK);
    return OK;
}

static enum status fork_guardian(struct program *program, struct spawned *spawned)
{
    enum status e = open_pipes(program, spawned);
    if (e)
        return e;
    spawned->guardian = fork();
    if (spawned->guardian == 0)
        guard(program);
    close(program->output_in);
    close(program->report_in);
    if (spawned->guardian < 0)
        spawned->guardian = 0;
    return spawned->guardian ? read_start(spawned) : NO_MEMORY;
}

enum status spawn_start(const char *binary, struct spawned *ret_spawned)
{
    struct program program = {.path = NULL};
    struct spawned spawned = {.output = -1, .reports = -1};
    enum status e = program_prepare(&program, binary);
    if (!e)
        e = fork_guardian(&program, &spawned);
    int error = errno;
    program_release(&program);
    if (e)
        spawn_let_go(&spawned);
    else
        *ret_spawned = spawned;
    errno = error;
    return e;
}

enum status spawn_wait(struct spawned *spawned, instant deadline, struct spawn_end *ret_end)
{
    struct spawn_end end = {.error = spawned->error};
    struct report one;
    for (;;) {
        ssize_t size = read(spawned->reports, &one, sizeof one);
        if (size == (ssize_t)sizeof one && one.kind == NOT_EXECUTED) {
            end.error = one.value;
        } else if (size == (ssize_t)sizeof one) {
            end.code = one.value;
            *ret_end = end;
            return OK;
        } else if (size >= 0 || (errno != EAGAIN && errno != EINTR)) {
            return IO_ERROR;
        } else {
            enum status e = descriptor_wait_readable(spawned->reports, deadline);
            if (e)
                return e;
        }
    }
}

void spawn_signal(const struct spawned *spawned, int signal)
{
    if (spawned->guardian)
        (void)kill(spawned->pid, signal);
}

void spawn_let_go(struct spawned *spawned)
{
    if (spawned->guardian) {
        (void)kill(spawned->guardian, SIGKILL);
        while (waitpid(spawned->guardian, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (spawned->output >= 0)
        close(spawned->output);
    if (spawned->reports >= 0)
        close(spawned->reports);
    *spawned = (struct spawned){.output = -1, .reports = -1};
}
