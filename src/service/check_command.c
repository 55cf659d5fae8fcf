#include "service/check_command.h"

#include "run/descriptor.h"
#include "run/loop.h"
#include "run/wait.h"
#include "service/check_question.h"

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX 256          /* of what it writes; more is read and forgotten */
#define REAP_TIME  (5 * SECOND) /* for the kernel to end what was killed */

/* --- the gate */

struct command_gate {
    unsigned users, running;
    struct wait_queue waiting;
};

struct command_gate *command_gate_new(void)
{
    struct command_gate *gate = calloc(1, sizeof *gate);
    if (!gate)
        return NULL;
    gate->users = 1;
    wait_queue_init(&gate->waiting);
    return gate;
}

void command_gate_unref(struct command_gate *gate)
{
    if (gate && --gate->users == 0)
        free(gate);
}

static enum status gate_enter(struct command_gate *gate)
{
    enum status e = OK;
    gate->users++;
    if (gate->running < COMMANDS_AT_ONCE)
        gate->running++;
    else
        e = wait_queue_wait(&gate->waiting, NEVER);
    if (e)
        command_gate_unref(gate);
    return e;
}

/* Whoever has waited longest takes the place over. */
static void gate_leave(struct command_gate *gate)
{
    if (!wait_queue_wake_one(&gate->waiting))
        gate->running--;
    command_gate_unref(gate);
}

/* --- what it is told */

static char *variable(struct arena *arena, const char *name, struct slice value)
{
    struct slice text = arena_format(arena, "%s=%.*s", name, SLICE_ARG(value));
    return (char *)text.data;
}

static enum status make_environment(struct question *q, const struct endpoint *endpoint)
{
    char room[ADDRESS_TEXT_MAX];
    struct text host = text_fixed(room, sizeof room);
    bool is_unix = q->address.any.sa_family == AF_UNIX;
    const char *path = getenv("PATH");
    char **list = arena_array(q->arena, 7, sizeof *list);
    if (!list)
        return NO_MEMORY;
    address_format_ip(&q->address, &host);
    struct slice port =
        is_unix ? SLICE("") : arena_format(q->arena, "%u", (unsigned)address_port(&q->address));
    bool is_down = endpoint_is_down(endpoint);
    list[0] = variable(q->arena, "PATH", slice_of_text(path ? path : _PATH_DEFPATH));
    list[1] = variable(q->arena, "WEIR_SERVICE", endpoint->service_name);
    list[2] = variable(q->arena, "WEIR_ENDPOINT", endpoint->text);
    list[3] = variable(q->arena, "WEIR_HOST", text_slice(&host));
    list[4] = variable(q->arena, "WEIR_PORT", port);
    list[5] = variable(q->arena, "WEIR_STATE", is_down ? SLICE("down") : SLICE("up"));
    list[6] = NULL;
    for (int i = 0; i < 6; i++)
        if (!list[i])
            return NO_MEMORY;
    q->environment = list;
    return OK;
}

enum status check_command_prepare(
    struct question *q, const struct health_options *how, const struct endpoint *endpoint)
{
    const struct slice *words = how->arguments.items;
    size_t count = how->arguments.count;
    char **list = arena_array(q->arena, count + 2, sizeof *list);
    if (!list || !(list[0] = arena_text(q->arena, how->path)))
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!(list[i + 1] = arena_text(q->arena, words[i])))
            return NO_MEMORY;
    list[count + 1] = NULL;
    q->arguments = list;
    return make_environment(q, endpoint);
}

/* --- running it */

struct command {
    pid_t pid;
    int process; /* pidfd */
    int output;  /* the pipe's end to read from */
    int both;    /* an epoll descriptor that is readable when one of these is */
    char room[OUTPUT_MAX];
    size_t size;
};

static int spawn_with(const struct question *q, int output, const posix_spawnattr_t *attributes,
    posix_spawn_file_actions_t *actions, pid_t *ret_pid)
{
    int error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, _PATH_DEVNULL, O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO);
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (!error)
        error = posix_spawn_file_actions_addchdir_np(actions, "/");
    if (!error)
        error = posix_spawn(
            ret_pid, q->arguments[0], actions, attributes, q->arguments, q->environment);
    return error;
}

/* With every signal as it is by default, in a process group of its own. 0 or an errno. */
static int spawn(const struct question *q, int output, pid_t *ret_pid)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t none, all;
    if (posix_spawnattr_init(&attributes))
        return ENOMEM;
    if (posix_spawn_file_actions_init(&actions)) {
        posix_spawnattr_destroy(&attributes);
        return ENOMEM;
    }
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = spawn_with(q, output, &attributes, &actions, ret_pid);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static bool watch(struct command *command)
{
    struct epoll_event event = {.events = EPOLLIN};
    command->process = pidfd_open(command->pid, 0);
    command->both = epoll_create1(EPOLL_CLOEXEC);
    return command->process >= 0 && command->both >= 0 &&
           !epoll_ctl(command->both, EPOLL_CTL_ADD, command->process, &event) &&
           !epoll_ctl(command->both, EPOLL_CTL_ADD, command->output, &event);
}

/* At its end the pipe is watched no more. */
static void take_output(struct command *command)
{
    char block[1024];
    ssize_t size;
    while ((size = read(command->output, block, sizeof block)) > 0) {
        size_t room = OUTPUT_MAX - command->size;
        size_t taken = (size_t)size < room ? (size_t)size : room;
        memcpy(command->room + command->size, block, taken);
        command->size += taken;
    }
    if (size == 0)
        (void)epoll_ctl(command->both, EPOLL_CTL_DEL, command->output, NULL);
}

static bool has_ended(const struct command *command)
{
    siginfo_t info = {0};
    return !waitid(P_PID, (id_t)command->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

static enum status wait_for_end(struct command *command, instant deadline)
{
    enum status e = OK;
    for (;;) {
        take_output(command);
        if (e || has_ended(command))
            return e;
        e = descriptor_wait_readable(command->both, deadline);
    }
}

/* Whatever it has left running goes with it. Until it is reaped its number is that of the group. */
static void reap(struct command *command, int *ret_code)
{
    siginfo_t info = {0};
    (void)kill(-command->pid, SIGKILL);
    fiber_shield();
    if (command->process >= 0 && !has_ended(command))
        (void)descriptor_wait_readable(command->process, loop_now() + REAP_TIME);
    fiber_unshield();
    (void)waitid(P_PID, (id_t)command->pid, &info, WEXITED | WNOHANG);
    *ret_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

static void close_all(const struct command *command)
{
    if (command->process >= 0)
        close(command->process);
    if (command->both >= 0)
        close(command->both);
    close(command->output);
}

static enum status run_command(struct question *q)
{
    struct command command = {.process = -1, .both = -1};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return OVERLOADED;
    /* The command's end blocks, as a program expects. */
    (void)fcntl(ends[1], F_SETFL, 0);
    command.output = ends[0];
    int error = spawn(q, ends[1], &command.pid);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        q->trouble = arena_text(q->arena, slice_of_text(strerrordesc_np(error)));
        q->trouble = q->trouble ? q->trouble : "";
        return INVALID;
    }
    enum status e = watch(&command) ? wait_for_end(&command, q->deadline) : OVERLOADED;
    reap(&command, &q->exit_code);
    close_all(&command);
    q->body = arena_copy(q->arena, slice_of(command.room, command.size));
    return e;
}

enum status check_ask_command(struct question *q, struct command_gate *gate)
{
    if (!gate)
        return NO_MEMORY;
    enum status e = gate_enter(gate);
    if (e)
        return e;
    q->deadline = clock_after(loop_now(), q->timeout);
    e = run_command(q);
    gate_leave(gate);
    return e;
}
