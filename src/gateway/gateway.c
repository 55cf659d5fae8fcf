#include "gateway/gateway.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json_writer.h"
#include "base/must.h"
#include "gateway/acme_follow.h"
#include "gateway/gateway_state.h"
#include "service/instances.h"
#include "gateway/process_metrics.h"
#include "gateway/stapling.h"
#include "run/sharing.h"

#define EARLY_MAX ((size_t)64 << 10) /* bytes of notices that nobody hears yet */

/* Orders to all workers at once, and the wait for their answers. */

struct round {
    struct gateway *gateway;
    unsigned due;
    struct wait_queue finished;
    enum status result;
};

struct round_order {
    struct order order; /* first */
    struct round *round;
};

static void order_done(struct order *order)
{
    struct round *round = ((struct round_order *)order)->round;
    if (order->result && !round->result)
        round->result = order->result;
    if (--round->due == 0)
        wait_queue_wake_all(&round->finished);
}

/* Sends `pattern` to the workers from `first` up to `end` and waits until all have done it. Orders
 * are bound to be answered, so this does not heed cancellation. One round at a time: whoever sends
 * one has waited for reloads to end. */
static enum status order_some(
    struct gateway *gateway, const struct order *pattern, unsigned first, unsigned end)
{
    struct round_order *orders = gateway->orders;
    struct round round = {.gateway = gateway, .due = end - first};
    wait_queue_init(&round.finished);
    for (unsigned i = first; i < end; i++) {
        struct round_order *order = &orders[i - first];
        order->order = *pattern;
        order->order.done = order_done;
        order->round = &round;
        worker_order(&gateway->workers[i], &order->order);
    }
    fiber_shield();
    while (round.due)
        (void)wait_queue_wait(&round.finished, NEVER);
    fiber_unshield();
    return round.result;
}

enum status gateway_order_all(struct gateway *gateway, const struct order *pattern)
{
    return order_some(gateway, pattern, 0, gateway->started);
}

/* Listeners: those of a new snapshot are compared with those that are open. */

static size_t count_listeners(struct listener *const *listeners)
{
    size_t count = 0;
    while (listeners && listeners[count])
        count++;
    return count;
}

/* One that was written in another way, ":80" and "[::]:80". Each listener with port 0 is one of its
 * own. */
static struct listener *find_address(
    struct listener *const *listeners, enum listen_kind kind, const struct address *address)
{
    bool is_any_port = address->any.sa_family != AF_UNIX && address_port(address) == 0;
    for (; !is_any_port && listeners && *listeners; listeners++)
        if (listen_is_alike((*listeners)->kind, kind) &&
            address_equal(&(*listeners)->address, address))
            return *listeners;
    return NULL;
}

static struct listener *find_listener(
    struct listener *const *listeners, const struct listen_address *at)
{
    for (; listeners && *listeners; listeners++)
        if (listener_is_for(*listeners, at))
            return *listeners;
    return NULL;
}

static bool is_among(struct listener *const *listeners, const struct listener *listener)
{
    while (*listeners && *listeners != listener)
        listeners++;
    return *listeners;
}

struct listener_change {
    struct listener **next;   /* what will be open; ends with NULL */
    struct listener **opened; /* those of `next` that are new */
    struct listener **shut;   /* those of before that `next` has not */
};

static void release_change(struct listener_change *change)
{
    free(change->next);
    free(change->opened);
    free(change->shut);
}

static void undo_change(struct listener_change *change)
{
    for (struct listener **l = change->opened; l && *l; l++)
        listener_close(*l);
    release_change(change);
}

static enum status complain_listen(
    struct diagnostics *diagnostics, const struct listen_address *at, enum status e)
{
    diagnostics_error(diagnostics, at->place,
        e == EXISTS ? SLICE("another program listens there") : SLICE_NONE,
        "cannot listen on %.*s: %s", SLICE_ARG(at->text),
        e == EXISTS ? "the address is in use" : strerror(errno));
    return e;
}

static bool is_wanted(const struct listen_options *wanted, const struct listener *listener)
{
    const struct listen_address *at = wanted->all;
    for (size_t i = 0; i < wanted->count; i++)
        if (listen_is_alike(at[i].kind, listener->kind) &&
            (slice_equal(at[i].text, listener_name(listener)) ||
                address_equal(&at[i].address, &listener->address)))
            return true;
    return false;
}

/* An address that overlaps with one which is given up, as every address does with 127.0.0.1. */
static enum status open_beside(const struct gateway *gateway, const struct listen_options *wanted,
    const struct listen_address *at, struct listener **ret_listener)
{
    size_t count = 0;
    struct listener **leaving =
        calloc(count_listeners(gateway->listeners) + 1, sizeof(struct listener *));
    if (!leaving)
        return NO_MEMORY;
    for (struct listener *const *l = gateway->listeners; l && *l; l++)
        if (!is_wanted(wanted, *l))
            leaving[count++] = *l;
    enum status e = listener_open_beside(at, leaving, ret_listener);
    free(leaving);
    return e;
}

static enum status plan_listeners(struct gateway *gateway, const struct snapshot *snapshot,
    struct diagnostics *diagnostics, struct listener_change *change)
{
    const struct listen_options *wanted = &snapshot->options->listen;
    size_t old = count_listeners(gateway->listeners), opened = 0, shut = 0;
    change->next = calloc(wanted->count + 1, sizeof(struct listener *));
    change->opened = calloc(wanted->count + 1, sizeof(struct listener *));
    change->shut = calloc(old + 1, sizeof(struct listener *));
    if (!change->next || !change->opened || !change->shut)
        return NO_MEMORY;
    for (size_t i = 0; i < wanted->count; i++) {
        const struct listen_address *at = &wanted->all[i];
        change->next[i] = find_listener(gateway->listeners, at);
        if (change->next[i])
            continue;
        const struct listener *same = find_address(gateway->listeners, at->kind, &at->address);
        enum status e = same ? listener_rename(same, at, &change->next[i])
                             : listener_open(gateway->inheritance, at, &change->next[i]);
        if (e == EXISTS)
            e = open_beside(gateway, wanted, at, &change->next[i]);
        if (e)
            return complain_listen(diagnostics, at, e);
        change->opened[opened++] = change->next[i];
    }
    for (size_t i = 0; i < old; i++)
        if (!is_among(change->next, gateway->listeners[i]))
            change->shut[shut++] = gateway->listeners[i];
    return OK;
}

/* That of the first HTTPS listener: where port 0 was asked for, the one that the kernel gave. */
static uint16_t find_https_port(struct listener *const *listeners)
{
    for (; *listeners; listeners++) {
        struct address bound = {.size = sizeof bound.local};
        if ((*listeners)->is_tls && (*listeners)->address.any.sa_family != AF_UNIX &&
            !getsockname((*listeners)->descriptor, &bound.any, &bound.size))
            return address_port(&bound);
    }
    return 443;
}

enum status gateway_shut_listeners(
    struct gateway *gateway, struct listener **shut, struct listener *const *kept)
{
    if (!shut[0])
        return OK;
    for (struct listener **l = shut; *l; l++)
        listener_retire(*l);
    struct order order = {.carry_out = worker_update, .shut = shut};
    enum status e = order_some(gateway, &order, 1, gateway->started);
    order.drains = true;
    if (!e)
        e = order_some(gateway, &order, 0, 1);
    for (struct listener **l = shut; *l; l++) {
        struct listener *same = find_address(kept, (*l)->kind, &(*l)->address);
        if (same) { /* a unix path goes on under another name */
            same->is_inherited = (*l)->is_inherited;
            (*l)->is_inherited = true;
        }
        listener_close(*l);
    }
    return e;
}

/* The access log: kept while its options stay the same. */

static bool is_log_same(const struct gateway *gateway, const struct log_options *options)
{
    return gateway->log_target && slice_equal(gateway->log_options.to, options->to) &&
           gateway->log_options.format == options->format &&
           gateway->log_options.buffer == options->buffer;
}

static enum status open_log(struct gateway *gateway, const struct log_options *options,
    struct diagnostics *diagnostics, struct access_log **ret_log)
{
    *ret_log = NULL;
    if (slice_equal(options->to, SLICE("off")))
        return OK;
    enum status e = access_log_new(options, gateway->worker_count, ret_log);
    if (e)
        diagnostics_error(diagnostics, (struct place){0}, SLICE_NONE,
            "cannot open the access log %.*s: %s", SLICE_ARG(options->to), strerror(errno));
    return e;
}

static void keep_log_options(struct gateway *gateway, const struct log_options *options)
{
    free(gateway->log_target);
    gateway->log_target = strndup(options->to.data, options->to.size);
    gateway->log_options = *options;
    gateway->log_options.to = slice_of_text(gateway->log_target);
}

/* Publishing. */

static void activate_services(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->service_count; i++)
        if (!service_is_version(snapshot->services[i]))
            service_activate(snapshot->services[i]);
}

static void retire(struct snapshot *snapshot)
{
    struct gateway *gateway = snapshot->owner;
    snapshot_free(snapshot);
    gateway->published--;
    wait_queue_wake_all(&gateway->retired);
}

static enum status publish(
    struct gateway *gateway, struct snapshot *snapshot, struct diagnostics *diagnostics)
{
    struct listener_change change = {0};
    struct access_log *log = gateway->log, *old_log = gateway->log;
    bool has_log = !is_log_same(gateway, &snapshot->options->log);
    const struct gateway_hooks *hooks = gateway->hooks;
    enum status e = plan_listeners(gateway, snapshot, diagnostics, &change);
    if (!e && hooks)
        e = hooks->prepare(gateway->hooks_argument, snapshot, diagnostics);
    if (!e && has_log)
        e = open_log(gateway, &snapshot->options->log, diagnostics, &log);
    if (!e)
        e = proxy_listen_note_own(snapshot, change.next);
    if (e) {
        undo_change(&change);
        return e;
    }
    snapshot->https_port = find_https_port(change.next);
    snapshot->generation = ++gateway->generation;
    snapshot->home = loop_current();
    snapshot->retire = retire;
    snapshot->owner = gateway;
    gateway->published++;
    atomic_store(&snapshot->holders, gateway->started);
    struct order order = {.carry_out = worker_update,
        .snapshot = snapshot,
        .log = log,
        .has_log = has_log,
        .open = gateway->is_open ? change.opened : NULL};
    gateway->snapshot = snapshot;
    memory_set_limit(gateway->foundation.stores->memory, (size_t)snapshot->options->state.memory);
    activate_services(snapshot);
    if (snapshot->tls)
        stapling_follow(snapshot->tls, loop_current());
    e = gateway_order_all(gateway, &order);
    gateway->log = log;
    if (has_log) {
        keep_log_options(gateway, &snapshot->options->log);
        access_log_free(old_log);
    }
    if (!e)
        e = gateway_shut_listeners(gateway, change.shut, change.next);
    free(gateway->listeners);
    gateway->listeners = change.next;
    change.next = NULL;
    release_change(&change);
    acme_follow(gateway);
    return e;
}

/* Threads are started once: another number of them waits for the next start. */
static void warn_of_workers(
    const struct gateway *gateway, const struct snapshot *snapshot, struct diagnostics *diagnostics)
{
    const struct gateway_options *options = snapshot->options;
    int64_t wanted = options->workers ? options->workers : foundation_processor_count();
    if (wanted != gateway->worker_count)
        diagnostics_warning(diagnostics, options->workers_place, SLICE("restart to change it"),
            "another number of workers needs a restart: there are still %u", gateway->worker_count);
}

static enum status load_and_publish(struct gateway *gateway, struct diagnostics *diagnostics)
{
    struct snapshot_context context = foundation_context(&gateway->foundation);
    struct snapshot *snapshot;
    gateway->reload.attempts++;
    gateway->reload.when = clock_wall();
    enum status e = snapshot_load(&context, gateway->path, diagnostics, &snapshot);
    if (!e) {
        warn_of_workers(gateway, snapshot, diagnostics);
        e = publish(gateway, snapshot, diagnostics);
        /* Whoever prints them may do so when the snapshot is gone. */
        enum status kept = diagnostics_keep_sources(diagnostics);
        if (e && gateway->snapshot != snapshot)
            snapshot_free(snapshot);
        e = e ? e : kept;
    }
    gateway->reload.succeeded = !e;
    gateway->reload.failures += e != OK;
    return e;
}

enum status gateway_reload(struct gateway *gateway, struct diagnostics *diagnostics)
{
    while (gateway->is_reloading) {
        enum status e = wait_queue_wait(&gateway->turn, NEVER);
        if (e)
            return e;
    }
    if (gateway->is_draining)
        return SHUTTING_DOWN;
    const struct gateway_hooks *hooks = gateway->hooks;
    gateway->is_reloading = true;
    if (hooks)
        hooks->reloading(gateway->hooks_argument);
    enum status e = load_and_publish(gateway, diagnostics);
    if (hooks)
        hooks->reloaded(gateway->hooks_argument, e, diagnostics);
    gateway->is_reloading = false;
    wait_queue_wake_all(&gateway->turn);
    return e;
}

/* Start and stop. */

static enum status start_workers(struct gateway *gateway)
{
    gateway->workers = calloc(gateway->worker_count, sizeof *gateway->workers);
    gateway->loops = calloc(gateway->worker_count, sizeof(struct loop *));
    gateway->orders = calloc(gateway->worker_count, sizeof *gateway->orders);
    enum status e = gateway->workers && gateway->loops && gateway->orders ? OK : NO_MEMORY;
    if (!e)
        e = share_group_new(gateway->worker_count, &gateway->group);
    for (unsigned i = 0; !e && i < gateway->worker_count; i++) {
        struct worker *worker = &gateway->workers[i];
        worker->index = i;
        worker->count = gateway->worker_count;
        worker->metrics = gateway->foundation.metrics;
        worker->shard = gateway->foundation.shards[i];
        worker->group = gateway->group;
        worker->answers = gateway->foundation.answers;
        e = worker_start(worker, NULL);
        if (e)
            break;
        gateway->started++;
        gateway->loops[i] = worker->loop;
    }
    return e;
}

/* What is said before anybody listens is kept until then. */
static void notice(void *argument, const char *text)
{
    struct gateway *gateway = argument;
    if (!gateway->hooks)
        text_add(&gateway->early, slice_of(text, strlen(text) + 1));
    else if (gateway->hooks->notice)
        gateway->hooks->notice(gateway->hooks_argument, text);
}

static enum status start_all(struct gateway *gateway, struct diagnostics *diagnostics)
{
    enum status e = foundation_init(&gateway->foundation, gateway->worker_count);
    if (!e)
        gateway_restore(gateway);
    if (!e)
        e = start_workers(gateway);
    if (!e)
        e = foundation_connect(&gateway->foundation, gateway->loops, notice, gateway);
    if (!e)
        gateway_restore_knowledge(gateway);
    for (unsigned i = 0; !e && i < gateway->worker_count; i++) {
        gateway->workers[i].plane = gateway->foundation.plane;
        gateway->workers[i].stores = gateway->foundation.stores;
    }
    if (!e)
        e = process_metrics_new(gateway, &gateway->process);
    if (!e)
        e = tls_keeper_new(gateway, &gateway->keeper);
    return e ? e : load_and_publish(gateway, diagnostics);
}

enum status gateway_start(struct slice path, struct inheritance *inheritance,
    struct diagnostics *diagnostics, struct gateway **ret_gateway)
{
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (!gateway)
        return NO_MEMORY;
    wait_queue_init(&gateway->turn);
    wait_queue_init(&gateway->retired);
    gateway->began = clock_now();
    gateway->early = text_growing(EARLY_MAX);
    gateway->inheritance = inheritance;
    gateway->path = slice_of_text(strndup(path.data, path.size));
    gateway->worker_count = foundation_worker_count(path);
    enum status e = gateway->path.data ? start_all(gateway, diagnostics) : NO_MEMORY;
    if (e) {
        gateway_stop(gateway);
        gateway_free(gateway);
        return e;
    }
    *ret_gateway = gateway;
    return OK;
}

enum status gateway_open(struct gateway *gateway)
{
    struct order order = {.carry_out = worker_update, .open = gateway->listeners};
    gateway->is_open = true;
    return gateway_order_all(gateway, &order);
}

void gateway_set_hooks(struct gateway *gateway, const struct gateway_hooks *hooks, void *argument)
{
    gateway->hooks = hooks;
    gateway->hooks_argument = argument;
    for (size_t at = 0; at < gateway->early.size; at += strlen(gateway->early.data + at) + 1)
        notice(gateway, gateway->early.data + at);
    text_release(&gateway->early);
}

static void stop_workers(struct gateway *gateway)
{
    int64_t patience = gateway->snapshot ? gateway->snapshot->options->drain.time : 0;
    struct order order = {.carry_out = worker_stop,
        .is_patient = gateway->is_replaced,
        .deadline = loop_now() + patience};
    if (gateway->listeners) {
        (void)gateway_shut_listeners(gateway, gateway->listeners, NULL);
        gateway->listeners[0] = NULL; /* for whoever asks meanwhile */
    }
    if (gateway->started)
        must(!gateway_order_all(gateway, &order));
    for (unsigned i = 0; i < gateway->started; i++)
        worker_join(&gateway->workers[i]);
}

void gateway_stop(struct gateway *gateway)
{
    if (!gateway)
        return;
    tls_keeper_stop(gateway->keeper);
    fiber_shield();
    gateway->is_draining = true;
    while (gateway->is_reloading)
        (void)wait_queue_wait(&gateway->turn, NEVER);
    acme_unfollow(gateway);
    stop_workers(gateway);
    gateway->started = 0;
    gateway->snapshot = NULL;
    while (gateway->published)
        (void)wait_queue_wait(&gateway->retired, NEVER);
    access_log_free(gateway->log);
    gateway->log = NULL;
    fiber_unshield();
}

void gateway_free(struct gateway *gateway)
{
    if (!gateway)
        return;
    share_group_free(gateway->group);
    foundation_release(&gateway->foundation);
    process_metrics_free(gateway->process);
    tls_keeper_free(gateway->keeper);
    acme_follow_free(gateway->acme);
    text_release(&gateway->early);
    free(gateway->log_target);
    free(gateway->listeners);
    free(gateway->workers);
    free(gateway->loops);
    free(gateway->orders);
    free((char *)gateway->path.data);
    free(gateway);
}

bool gateway_is_ready(const struct gateway *gateway)
{
    return gateway->snapshot && !gateway->is_draining;
}

void gateway_set_draining(struct gateway *gateway)
{
    gateway->is_draining = true;
}

void gateway_reopen_log(struct gateway *gateway)
{
    access_log_reopen(gateway->log);
}

const struct snapshot *gateway_snapshot(const struct gateway *gateway)
{
    return gateway->snapshot;
}

struct inheritance *gateway_inheritance(const struct gateway *gateway)
{
    return gateway->inheritance;
}

struct instances *gateway_instances(struct gateway *gateway, struct slice service)
{
    return instances_find(gateway->foundation.plane, service);
}

struct metrics *gateway_metrics(struct gateway *gateway)
{
    return gateway->foundation.metrics;
}
