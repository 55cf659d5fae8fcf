#include "acme/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/order.h"
#include "config/source.h"
#include "run/loop.h"
#include "run/resolver.h"
#include "run/wait.h"

#define ORDERS_AT_ONCE 4
#define PAUSE_MOST     (6 * HOUR)
#define LOOK_EVERY     HOUR /* at the clock, which may be set, while a certificate is good */
#define OTHERS_TIME    (30 * SECOND) /* until it is looked again at what somebody else sees to */
#define PROBLEM_MAX    256
#define CA_MAX         ((size_t)1 << 20)
#define ARENA_MAX      ((size_t)16 << 20)

/* One name. */
struct task {
    struct list node;
    struct acme_keeper *keeper;
    struct scope scope; /* its fiber */
    bool is_wanted;
    enum acme_phase phase;
    int64_t from, until, next;         /* seconds since 1970 */
    uint64_t issued, failed, failures; /* the last: in a row */
    size_t problem_size, name_size;
    char problem[PROBLEM_MAX];
    char name[];
};

struct acme_keeper {
    struct acme_keeper_owner owner;
    struct arena settings;       /* what `options` borrows */
    struct acme_options options; /* in force */
    bool is_active, can_http;
    struct acme_store *store;  /* owned */
    struct tls_client *tls;    /* counted */
    struct resolver *resolver; /* owned */
    struct list tasks;         /* owned */
    size_t task_count;
    unsigned orders;        /* under way */
    struct wait_queue turn; /* an order has ended */
    struct scope scope;     /* the fiber that tells the owner */
    struct wait_queue news;
    bool has_news;
};

const char *acme_phase_word(enum acme_phase phase)
{
    static const char *const words[] = {[ACME_PHASE_WAITING] = "waiting",
        [ACME_PHASE_ORDERING] = "ordering",
        [ACME_PHASE_GOOD] = "good",
        [ACME_PHASE_FAILED] = "failed"};
    return words[phase];
}

static struct slice task_name(const struct task *task)
{
    return slice_of(task->name, task->name_size);
}

/* --- telling the owner, who may change what the keeper does: so not on a task's own fiber */

static void tell(void *argument)
{
    struct acme_keeper *keeper = argument;
    for (;;) {
        while (!keeper->has_news)
            if (wait_queue_wait(&keeper->news, NEVER))
                return;
        keeper->has_news = false;
        keeper->owner.changed(keeper->owner.argument);
    }
}

static void notice(struct task *task, const char *what, struct slice more)
{
    char line[PROBLEM_MAX + 320];
    int size = snprintf(
        line, sizeof line, "%s %.*s%.*s", what, SLICE_ARG(task_name(task)), SLICE_ARG(more));
    task->keeper->owner.noticed(
        task->keeper->owner.argument, slice_head(slice_of(line, (size_t)size), sizeof line - 1));
}

/* --- when what is due. Two thirds of a life, and a little more that differs from name to name, so
 * that not all come at once. */

static int64_t renewal_time(const struct task *task)
{
    int64_t life = task->until - task->from;
    return task->from + life * 2 / 3 +
           (int64_t)random_below(loop_random(), (uint64_t)(life / 20 + 1));
}

static void look_at_stored(struct task *task)
{
    struct arena arena;
    struct slice pem;
    struct tls_identity *identity = NULL;
    const char *problem;
    int64_t until = task->until;
    arena_init(&arena, 0, ARENA_MAX);
    enum status e = acme_storage_read(task->keeper->store, task_name(task), &arena, &pem);
    if (!e)
        e = tls_identity_new(pem, pem, &identity, &problem);
    task->from = e ? 0 : tls_identity_from(identity);
    task->until = e ? 0 : tls_identity_until(identity);
    if (task->until && task->until != until)
        task->next = renewal_time(task);
    tls_identity_unref(identity);
    arena_release(&arena);
}

static bool is_due(const struct task *task)
{
    return !task->until || clock_wall() / SECOND >= task->next;
}

/* Until a moment of the wall clock, which may jump. */
static enum status sleep_until(int64_t second)
{
    enum status e = OK;
    for (;;) {
        int64_t left = second * SECOND - clock_wall();
        if (e || left <= 0)
            return e;
        e = fiber_sleep_until(loop_now() + (left < LOOK_EVERY ? left : LOOK_EVERY));
    }
}

static int64_t pause_after(const struct task *task, int64_t retry_after)
{
    int64_t pause = task->keeper->options.retry;
    for (uint64_t i = 1; i < task->failures && pause < PAUSE_MOST; i++)
        pause *= 2;
    pause = pause < PAUSE_MOST ? pause : PAUSE_MOST;
    pause += (int64_t)random_below(loop_random(), (uint64_t)(pause / 5 + 1));
    return pause > retry_after * SECOND ? pause : retry_after * SECOND;
}

/* --- getting one */

static enum acme_challenge_kind choose(const struct task *task)
{
    const struct acme_keeper *keeper = task->keeper;
    if (keeper->options.challenge == ACME_HTTP_ONLY)
        return ACME_HTTP_01;
    if (keeper->options.challenge == ACME_TLS_ONLY || !keeper->can_http)
        return ACME_TLS_ALPN_01;
    return task->failures % 2 == 0 ? ACME_HTTP_01 : ACME_TLS_ALPN_01;
}

static void succeeded(struct task *task)
{
    task->issued++;
    task->failures = 0;
    task->problem_size = 0;
    look_at_stored(task);
    task->phase = ACME_PHASE_GOOD;
    notice(task, "there is a new certificate for", SLICE_NONE);
    task->keeper->has_news = true;
    wait_queue_wake_all(&task->keeper->news);
}

static void keep_problem(struct task *task, struct slice problem)
{
    problem = slice_head(problem, sizeof task->problem);
    if (problem.size)
        memcpy(task->problem, problem.data, problem.size);
    task->problem_size = problem.size;
}

static int64_t failed(struct task *task, const struct acme_outcome *outcome)
{
    char more[PROBLEM_MAX + 8];
    task->failed++;
    task->failures++;
    task->phase = ACME_PHASE_FAILED;
    keep_problem(task, outcome->problem);
    int64_t pause = pause_after(task, outcome->retry_after);
    task->next = (clock_wall() + pause) / SECOND;
    int size = snprintf(more, sizeof more, ": %.*s", (int)task->problem_size, task->problem);
    notice(task, "no certificate for", slice_head(slice_of(more, (size_t)size), sizeof more - 1));
    return pause;
}

static enum status obtain(struct task *task, int64_t *ret_pause)
{
    struct acme_keeper *keeper = task->keeper;
    struct arena arena;
    struct acme_outcome outcome;
    const struct acme_wish wish = {.name = task_name(task),
        .directory = keeper->options.directory,
        .contact = keeper->options.email,
        .known_as = keeper->options.binding.id,
        .secret = keeper->options.binding.key,
        .challenge = choose(task),
        .store = keeper->store,
        .answers = keeper->owner.answers,
        .resolver = keeper->resolver,
        .tls = keeper->tls};
    arena_init(&arena, 0, ARENA_MAX);
    task->phase = ACME_PHASE_ORDERING;
    enum status e = acme_obtain(&wish, &arena, &outcome);
    if (!e)
        succeeded(task);
    else if (e != CANCELLED)
        *ret_pause = failed(task, &outcome);
    arena_release(&arena);
    return e;
}

/* One of all that share the store sees to a name. `*ret_pause` is how long to rest then. */
static enum status obtain_alone(struct task *task, int64_t *ret_pause)
{
    struct acme_store *store = task->keeper->store;
    char name[320];
    void *lock;
    int size = snprintf(name, sizeof name, ACME_PAIR_NAME, SLICE_ARG(task_name(task)));
    enum status e = store->ops->lock(store, slice_of(name, (size_t)size), &lock);
    if (e) {
        struct acme_outcome outcome = {.problem = SLICE("the storage cannot be written")};
        task->phase = ACME_PHASE_WAITING;
        *ret_pause = e == FULL ? OTHERS_TIME : failed(task, &outcome);
        return e;
    }
    look_at_stored(task); /* somebody else may just have got it */
    e = is_due(task) ? obtain(task, ret_pause) : OK;
    if (!e && is_due(task)) /* one that is old already: not again and again */
        *ret_pause = task->keeper->options.retry;
    store->ops->unlock(store, lock);
    return e;
}

static enum status take_turn(struct task *task, int64_t *ret_pause)
{
    struct acme_keeper *keeper = task->keeper;
    enum status e = OK;
    while (!e && keeper->orders >= ORDERS_AT_ONCE)
        e = wait_queue_wait(&keeper->turn, NEVER);
    if (e)
        return e;
    keeper->orders++;
    e = obtain_alone(task, ret_pause);
    keeper->orders--;
    wait_queue_wake_one(&keeper->turn);
    return e;
}

static void run_task(void *argument)
{
    struct task *task = argument;
    enum status e = OK;
    while (e != CANCELLED) {
        int64_t pause = 0;
        look_at_stored(task);
        if (!is_due(task)) {
            task->phase = ACME_PHASE_GOOD;
            e = sleep_until(task->next);
            continue;
        }
        e = take_turn(task, &pause);
        if (pause && e != CANCELLED)
            e = fiber_sleep_until(loop_now() + pause);
    }
}

/* --- which names */

static struct task *find_task(struct acme_keeper *keeper, struct slice name)
{
    list_each (node, &keeper->tasks) {
        struct task *task = list_entry(node, struct task, node);
        if (slice_equal(task_name(task), name))
            return task;
    }
    return NULL;
}

static void stop_task(struct task *task)
{
    scope_end(&task->scope);
    list_remove(&task->node);
    task->keeper->task_count--;
    free(task);
}

static enum status start_task(struct acme_keeper *keeper, struct slice name)
{
    struct task *task = calloc(1, sizeof *task + name.size + 1);
    if (!task)
        return NO_MEMORY;
    task->keeper = keeper;
    task->name_size = name.size;
    task->is_wanted = true;
    memcpy(task->name, name.data, name.size);
    scope_init(&task->scope);
    list_push_back(&keeper->tasks, &task->node);
    keeper->task_count++;
    if (!scope_start(&task->scope, run_task, task))
        return OK;
    stop_task(task);
    return NO_MEMORY;
}

static void stop_unwanted(struct acme_keeper *keeper)
{
    list_each (node, &keeper->tasks) {
        struct task *task = list_entry(node, struct task, node);
        if (!task->is_wanted)
            stop_task(task);
        else
            task->is_wanted = false;
    }
}

static enum status want(struct acme_keeper *keeper, const struct slice *names, size_t count)
{
    enum status e = OK;
    for (size_t i = 0; !e && i < count; i++) {
        struct task *task = find_task(keeper, names[i]);
        if (task)
            task->is_wanted = true;
        else
            e = start_task(keeper, names[i]);
    }
    stop_unwanted(keeper);
    return e;
}

/* --- how */

static void forget_settings(struct acme_keeper *keeper)
{
    stop_unwanted(keeper);
    acme_store_free(keeper->store);
    tls_client_unref(keeper->tls);
    arena_release(&keeper->settings);
    keeper->store = NULL;
    keeper->tls = NULL;
    keeper->is_active = false;
}

static bool is_same(const struct acme_options *a, const struct acme_options *b)
{
    return slice_equal(a->email, b->email) && slice_equal(a->directory, b->directory) &&
           slice_equal(a->ca, b->ca) && slice_equal(a->storage, b->storage) &&
           slice_equal(a->binding.id, b->binding.id) &&
           slice_equal(a->binding.key, b->binding.key) && a->challenge == b->challenge &&
           a->retry == b->retry;
}

static bool copy_settings(struct acme_keeper *keeper, const struct acme_options *options)
{
    keeper->options = *options;
    struct slice *texts[] = {&keeper->options.email, &keeper->options.directory,
        &keeper->options.ca, &keeper->options.storage, &keeper->options.binding.id,
        &keeper->options.binding.key};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = arena_copy(&keeper->settings, *texts[i]);
        if (!texts[i]->data)
            return false;
    }
    return true;
}

enum status acme_read_authorities(const struct acme_options *options,
    struct tls_authorities **ret_authorities, const char **ret_problem)
{
    struct arena arena;
    const struct source *source;
    if (!options->ca.size)
        return tls_authorities_system(ret_authorities);
    arena_init(&arena, 0, 0);
    enum status e = source_read(&arena, options->ca, CA_MAX, &source);
    *ret_problem = "the file cannot be read";
    if (!e)
        e = tls_authorities_new(source->text, ret_authorities, ret_problem);
    arena_release(&arena);
    return e == NO_MEMORY ? e : e ? INVALID : OK;
}

static enum status open_settings(
    struct acme_keeper *keeper, const struct acme_options *options, const char **ret_problem)
{
    struct tls_authorities *authorities = NULL;
    enum status e = copy_settings(keeper, options) ? OK : NO_MEMORY;
    if (!e)
        e = acme_read_authorities(options, &authorities, ret_problem);
    if (!e)
        e = tls_client_new(&(struct tls_client_options){.authorities = authorities}, &keeper->tls);
    if (!e)
        e = acme_storage_open(options, &keeper->store);
    if (!e && !keeper->resolver)
        e = resolver_new(&keeper->resolver);
    tls_authorities_unref(authorities);
    return e;
}

enum status acme_keeper_use(struct acme_keeper *keeper, const struct acme_options *options,
    const struct slice *names, size_t count, bool can_http, const char **ret_problem)
{
    enum status e = OK;
    *ret_problem = NULL;
    keeper->can_http = can_http;
    if (keeper->is_active && (!options || !is_same(&keeper->options, options)))
        forget_settings(keeper);
    if (!options)
        return OK;
    if (!keeper->is_active) {
        e = open_settings(keeper, options, ret_problem);
        if (e)
            forget_settings(keeper);
        keeper->is_active = !e;
    }
    return e ? e : want(keeper, names, count);
}

struct acme_keeper *acme_keeper_new(const struct acme_keeper_owner *owner)
{
    struct acme_keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return NULL;
    keeper->owner = *owner;
    arena_init(&keeper->settings, 0, 0);
    list_init(&keeper->tasks);
    wait_queue_init(&keeper->turn);
    wait_queue_init(&keeper->news);
    scope_init(&keeper->scope);
    if (scope_start(&keeper->scope, tell, keeper)) {
        free(keeper);
        return NULL;
    }
    return keeper;
}

void acme_keeper_free(struct acme_keeper *keeper)
{
    if (!keeper)
        return;
    scope_end(&keeper->scope);
    forget_settings(keeper);
    resolver_free(keeper->resolver);
    free(keeper);
}

/* --- looking */

size_t acme_keeper_count(const struct acme_keeper *keeper)
{
    return keeper ? keeper->task_count : 0;
}

void acme_keeper_look(const struct acme_keeper *keeper, size_t index, struct acme_view *ret_view)
{
    const struct list *node = keeper->tasks.next;
    while (index--)
        node = node->next;
    const struct task *task = list_entry(node, const struct task, node);
    *ret_view = (struct acme_view){.name = task_name(task),
        .phase = task->phase,
        .until = task->until,
        .next = task->next,
        .issued = task->issued,
        .failed = task->failed,
        .problem = slice_of(task->problem, task->problem_size)};
}

/* --- the storage */

enum status acme_storage_open(const struct acme_options *options, struct acme_store **ret_store)
{
    struct slice folder = options->storage;
    char path[4096];
    if (!folder.size) {
        const char *state = getenv("STATE_DIRECTORY"); /* systemd.exec(5) */
        int size = snprintf(path, sizeof path, "%s/acme",
            state && *state == '/' && !strchr(state, ':') ? state : "/var/lib/weir");
        if (size < 0 || (size_t)size >= sizeof path)
            return TOO_LARGE;
        folder = slice_of(path, (size_t)size);
    }
    return acme_store_open(folder, ret_store);
}

enum status acme_storage_read(
    struct acme_store *store, struct slice name, struct arena *arena, struct slice *ret_pem)
{
    struct slice at = arena_format(arena, ACME_PAIR_NAME, SLICE_ARG(name));
    return at.data ? store->ops->get(store, at, arena, ret_pem) : NO_MEMORY;
}
