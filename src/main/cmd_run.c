/* `weir run`: the gateway as a process. This is the wiring; what is wired lives elsewhere. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "admin/admin.h"
#include "main/arguments.h"
#include "main/control.h"
#include "run/file_watch.h"
#include "main/load.h"
#include "main/loaded_watch.h"
#include "main/notify.h"
#include "main/predecessor.h"
#include "main/running.h"
#include "main/signals.h"
#include "main/successor.h"
#include "run/loop.h"

#define LARGE_BLOCK (1 << 20)

struct running {
    const struct run_options *options;
    struct inheritance *inheritance;
    struct gateway *gateway;
    struct admin *admin;
    struct signals *signals;
    struct file_watch *watch;
    struct loaded_watch *loaded;
    struct predecessor *predecessor; /* that this process has replaced, or is about to */
    struct successor *successor;     /* that is to replace this process */
    bool is_replaced;
    struct wait_queue stop;
    bool is_stopping;
    struct scope reloads;
};

static void complain(struct diagnostics *diagnostics, const char *path, enum status e)
{
    if (diagnostics->count)
        print_diagnostics(diagnostics, false);
    if (e && !diagnostics->errors)
        fprintf(stderr, "weir: %s: %s\n", path, status_sentence(e));
}

static void reloading(void *argument)
{
    (void)argument;
    notify_reloading();
}

static enum status prepare(
    void *argument, const struct snapshot *snapshot, struct diagnostics *diagnostics)
{
    struct running *running = argument;
    return admin_prepare(running->admin, snapshot, diagnostics);
}

static void reloaded(void *argument, enum status e, struct diagnostics *diagnostics)
{
    struct running *running = argument;
    admin_settle(running->admin);
    complain(diagnostics, running->options->path, e);
    fprintf(stderr, e ? "weir: the configuration was refused; the old one goes on serving\n"
                      : "weir: reloaded\n");
    notify_manager("READY=1");
}

static void notice(void *argument, const char *text)
{
    (void)argument;
    fprintf(stderr, "weir: %s\n", text);
}

static const struct gateway_hooks hooks = {
    .reloading = reloading, .prepare = prepare, .reloaded = reloaded, .notice = notice};

static void reload_on_fiber(void *argument)
{
    struct running *running = argument;
    struct arena arena;
    struct diagnostics diagnostics;
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    (void)gateway_reload(running->gateway, &diagnostics); /* `reloaded` says how it went */
    arena_release(&arena);
}

static void reload(void *argument)
{
    struct running *running = argument;
    if (running->gateway && !running->is_stopping)
        (void)scope_start(&running->reloads, reload_on_fiber, running);
}

static void stop(struct running *running)
{
    if (running->is_stopping)
        _exit(running->is_replaced ? EXIT_DONE : EXIT_FAILED); /* asked twice: at once */
    running->is_stopping = true;
    wait_queue_wake_all(&running->stop);
}

static void got_signal(void *argument, int signal)
{
    struct running *running = argument;
    if (signal == SIGHUP)
        reload(running);
    else if (signal == SIGUSR1 && running->gateway)
        gateway_reopen_log(running->gateway);
    else if (signal == SIGTERM || signal == SIGINT)
        stop(running);
}

/* Each connection is a descriptor, and each request may need one more: as many as the system lets
 * us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Being replaced. */

static enum status offer(void *argument, struct inheritance *offered)
{
    struct running *running = argument;
    enum status e = gateway_offer_sockets(running->gateway, offered);
    return e ? e : admin_offer_sockets(running->admin, offered);
}

static void let_go(void *argument, const struct inheritance *offered, pid_t pid)
{
    struct running *running = argument;
    char state[32];
    running->is_replaced = true;
    gateway_hand_over(running->gateway, offered);
    admin_hand_over(running->admin, offered);
    snprintf(state, sizeof state, "MAINPID=%d", (int)pid);
    notify_manager(state);
}

static void replaced(void *argument)
{
    struct running *running = argument;
    running->is_stopping = true;
    wait_queue_wake_all(&running->stop);
}

static const struct admin_hooks admin_hooks = {
    .upgrade = successor_upgrade, .hand_over = successor_hand_over};

static enum status start_successor(struct running *running)
{
    const struct successor_owner owner = {.offer = offer,
        .let_go = let_go,
        .replaced = replaced,
        .argument = running,
        .upgrades = predecessor_upgrades(running->predecessor)};
    if (!running->options->can_upgrade)
        return OK;
    enum status e = successor_new(&owner, &running->successor);
    if (!e)
        admin_set_hooks(running->admin, &admin_hooks, running->successor);
    return e;
}

/* Replacing another. */

static void show_lineage(void *argument)
{
    struct running *running = argument;
    const struct gateway_lineage lineage = {.upgrades = predecessor_upgrades(running->predecessor),
        .predecessor = predecessor_process(running->predecessor)};
    gateway_set_lineage(running->gateway, &lineage);
}

static enum status inherit(struct running *running)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    enum status e = inheritance_new(&running->inheritance);
    if (!e)
        e = inheritance_add_passed(running->inheritance);
    if (!e && running->options->can_upgrade)
        e = predecessor_meet(control_path(&arena, running->options->control, false),
            running->inheritance, &running->predecessor);
    arena_release(&arena);
    return e;
}

static enum status start_admin(struct running *running, struct diagnostics *diagnostics)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct slice control = control_path(&arena, running->options->control, true);
    enum status e = admin_start(running->gateway, control, &running->admin);
    if (e) {
        fprintf(stderr, "weir: no control socket at %.*s: %s\n", SLICE_ARG(control),
            e == EXISTS ? "another gateway has it (choose one with --control)"
                        : status_sentence(e));
        e = admin_start(running->gateway, SLICE_NONE, &running->admin);
    }
    if (!e)
        e = admin_prepare(running->admin, gateway_snapshot(running->gateway), diagnostics);
    if (!e)
        gateway_set_hooks(running->gateway, &hooks, running);
    arena_release(&arena);
    return e;
}

static enum status start(struct running *running, struct diagnostics *diagnostics)
{
    struct slice path = slice_of_text(running->options->path);
    enum status e = signals_new(got_signal, running, &running->signals);
    if (!e)
        e = inherit(running);
    if (!e)
        e = gateway_start(path, running->inheritance, diagnostics, &running->gateway);
    if (!e)
        e = start_admin(running, diagnostics);
    if (!e)
        e = start_successor(running);
    if (!e && running->options->watches)
        (void)loaded_watch_new(running->gateway, reload, running, &running->loaded);
    if (!e && running->options->watches && file_watch_new(path, reload, running, &running->watch))
        fprintf(stderr, "weir: %s is not watched for changes: `weir reload` works\n",
            running->options->path);
    return e ? e : gateway_open(running->gateway);
}

static int code_of(enum status e, const struct diagnostics *diagnostics)
{
    return !e ? EXIT_DONE : diagnostics->errors && e == INVALID ? EXIT_CONFIG : EXIT_FAILED;
}

static void finish(struct running *running)
{
    if (!running->is_replaced)
        notify_manager("STOPPING=1");
    successor_call_off(running->successor);
    loaded_watch_free(running->loaded);
    file_watch_free(running->watch);
    if (running->gateway)
        gateway_set_draining(running->gateway);
    scope_end(&running->reloads);
    gateway_stop(running->gateway);
    admin_stop(running->admin);
    gateway_free(running->gateway);
    predecessor_free(running->predecessor);
    inheritance_free(running->inheritance);
    signals_free(running->signals);
    successor_free(running->successor);
}

static int run_gateway(void *argument)
{
    struct running running = {.options = argument};
    struct arena arena;
    struct diagnostics diagnostics;
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    wait_queue_init(&running.stop);
    scope_init(&running.reloads);
    enum status e = start(&running, &diagnostics);
    complain(&diagnostics, running.options->path, e);
    if (!e) {
        show_lineage(&running);
        predecessor_relieve(running.predecessor, running.inheritance, show_lineage, &running);
        if (running.options->ready)
            running.options->ready(running.options->argument, running.gateway);
        notify_manager("READY=1");
        while (!running.is_stopping)
            (void)wait_queue_wait(&running.stop, NEVER);
    }
    finish(&running);
    int code = code_of(e, &diagnostics);
    arena_release(&arena);
    return code;
}

/* A page of metrics may have many megabytes: it gives them back when it is gone. Left to itself
 * malloc keeps as much as it has once seen freed. */
static void give_large_blocks_back(void)
{
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    mallopt(M_TRIM_THRESHOLD, LARGE_BLOCK);
}

int running_run(const struct run_options *options)
{
    give_large_blocks_back();
    raise_descriptor_limit();
    return run_on_fiber(run_gateway, (void *)options);
}

static void say_ready(void *argument, struct gateway *gateway)
{
    const char *path = argument;
    struct text text = text_growing(0);
    gateway_print_listeners(gateway, &text);
    fprintf(stderr, "weir: serving %s on %.*s\n", path, SLICE_ARG(text_slice(&text)));
    text_release(&text);
}

static int run(int count, char **words)
{
    struct run_options options = {.ready = say_ready, .can_upgrade = true};
    bool is_still = false;
    const struct argument taken[] = {{.value = &options.path, .is_required = true},
        {.name = "--control", .value = &options.control}, {.name = "--no-watch", .flag = &is_still},
        {0}};
    int code = arguments_read(&run_command, count, words, taken);
    options.argument = (void *)options.path;
    options.watches = !is_still;
    return code ? code : running_run(&options);
}

static const char *const options[] = {"--control", "--no-watch", NULL};

const struct command run_command = {.name = "run",
    .arguments = "FILE [--control SOCKET] [--no-watch]",
    .summary = "Serves a configuration: a file or a folder.",
    .help = "Reloads when the file changes (not with --no-watch), on SIGHUP and on `weir reload`. "
            "SIGTERM and\n"
            "SIGINT stop it after the requests under way; a second one stops it at once. SIGUSR1 "
            "opens the\n"
            "access log again.",
    .options = options,
    .run = run};
