#include "service/finder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "run/loop.h"
#include "run/timer.h"
#include "service/roster.h"
#include "service/source_key.h"

#define PAUSE_LEAST  SECOND
#define PAUSE_MOST   (30 * SECOND)
#define TROUBLE_SIZE 240

struct finder {
    const struct discovery *type;
    struct service_plane *plane; /* borrowed; NULL: nobody uses the source any more */
    struct arena arena;          /* all that it is made of */
    struct slice text, rest;     /* "consul://user", "user" */
    struct slice name;           /* for logs and metrics */
    void *options;               /* owned by the arena */
    struct list node;            /* in the plane's list */
    struct list watches;
    struct fiber *fiber; /* follows it; NULL: not begun, or ended */
    bool is_begun;
    struct found_list found;
    enum status outcome;        /* of finder_outcome */
    bool is_up;                 /* the newest question was answered */
    instant began, heard;       /* when it was first asked, and last answered; 0: not yet */
    instant failed_since;       /* 0: it has not failed */
    unsigned failures;          /* in a row */
    char trouble[TROUBLE_SIZE]; /* of the newest failure */

    /* While it says that there is nobody. */
    struct found_list pending;
    struct timer grace;
    bool is_pending;

    uint32_t up_series, endpoints_series, age_series, changes_series, failures_series;
};

static const struct metric_family up_family = {
    "weir_discovery_up", "1 while a source of endpoints answers.", METRIC_GAUGE, {"source"}};
static const struct metric_family endpoints_family = {
    "weir_discovery_endpoints", "Endpoints that a source has found.", METRIC_GAUGE, {"source"}};
static const struct metric_family age_family = {"weir_discovery_age_seconds",
    "Time since a source last answered, be it that nothing has changed.", METRIC_GAUGE, {"source"},
    .divisor = 1000};
static const struct metric_family changes_family = {"weir_discovery_changes_total",
    "Endpoints that came, went or changed by what a source has said.", METRIC_COUNTER, {"source"}};
static const struct metric_family failures_family = {"weir_discovery_failures_total",
    "How often a source could not be followed any further.", METRIC_COUNTER, {"source"}};

static const struct source_options *common(const struct finder *finder)
{
    return finder->options;
}

void finder_say(struct finder *finder, const char *format, ...)
{
    const struct service_plane_options *plane = &finder->plane->options;
    char room[TROUBLE_SIZE + 400];
    va_list arguments;
    int size =
        snprintf(room, sizeof room, "source %.*s: ", SLICE_ARG(slice_head(finder->name, 200)));
    va_start(arguments, format);
    vsnprintf(room + size, sizeof room - (size_t)size, format, arguments);
    va_end(arguments);
    if (plane->notice)
        plane->notice(plane->notice_argument, room);
}

static void count(struct finder *finder, uint32_t series, uint64_t n)
{
    if (finder->plane->options.metrics)
        metric_add(finder->plane->options.control_shard, series, n);
}

/* --- what is known */

static void tell(struct finder *finder)
{
    list_each (node, &finder->watches)
        roster_update(list_entry(node, struct finder_watch, finder_node)->roster);
}

static void drop_pending(struct finder *finder)
{
    timer_cancel(&finder->grace);
    found_list_release(&finder->pending);
    finder->is_pending = false;
}

static void take_list(struct finder *finder, struct found_list *list, size_t changes)
{
    bool is_first = finder->outcome != OK;
    found_list_release(&finder->found);
    finder->found = *list;
    finder->outcome = OK;
    count(finder, finder->changes_series, changes);
    if (changes || is_first)
        tell(finder);
}

static void grace_is_over(struct timer *timer)
{
    struct finder *finder = list_entry(timer, struct finder, grace);
    struct found_list list = finder->pending;
    size_t changes = finder->found.count > list.count ? finder->found.count : list.count;
    finder->pending = (struct found_list){NULL, 0, 0};
    finder->is_pending = false;
    finder_say(finder, "there are no endpoints for so long now that it is believed");
    take_list(finder, &list, changes);
}

/* A list without anybody who is well waits, if there is somebody to lose. */
static void put_off(struct finder *finder, struct found_list *list)
{
    bool is_first = !finder->is_pending;
    found_list_release(&finder->pending);
    finder->pending = *list;
    finder->is_pending = true;
    if (!is_first)
        return;
    timer_set(&finder->grace, clock_after(loop_now(), common(finder)->grace));
    finder_say(finder, "it says that there are no endpoints; the last %zu stay for %lld s",
        finder->found.count, (long long)(common(finder)->grace / SECOND));
}

void finder_heard(struct finder *finder)
{
    instant now = loop_now();
    if (finder->failed_since)
        finder_say(finder, "back after %lld s", (long long)((now - finder->failed_since) / SECOND));
    finder->failed_since = 0;
    finder->failures = 0;
    finder->is_up = true;
    finder->heard = now;
    finder->trouble[0] = '\0';
}

enum status finder_report(struct finder *finder, const struct findings *findings)
{
    struct found_list list;
    size_t changes;
    if (fiber_is_cancelled(fiber_current()))
        return CANCELLED;
    finder_heard(finder);
    if (found_list_make(&finder->found, findings, &list, &changes))
        return OK; /* without memory the old ones stay */
    if (list.well == 0 && finder->found.well > 0 && common(finder)->grace > 0) {
        put_off(finder, &list);
        return OK;
    }
    drop_pending(finder);
    take_list(finder, &list, changes);
    return OK;
}

void finder_complain(struct finder *finder, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finder->trouble, sizeof finder->trouble, format, arguments);
    va_end(arguments);
}

/* Requests learn the reason only where nothing is known. */
void finder_fail(struct finder *finder, enum status e)
{
    if (!finder->trouble[0])
        finder_complain(finder, "%s", status_sentence(e));
    if (!finder->failed_since) {
        finder->failed_since = loop_now();
        finder_say(finder, "%s%s", finder->trouble,
            finder->found.count ? "; its last endpoints stay" : "");
    }
    finder->failures++;
    finder->is_up = false;
    count(finder, finder->failures_series, 1);
    enum status outcome = e == UPSTREAM_DNS || e == UPSTREAM_DNS_TIMEOUT ? e : UPSTREAM_DISCOVERY;
    if (finder->outcome == OK || finder->outcome == outcome)
        return;
    finder->outcome = outcome;
    tell(finder);
}

/* --- following */

static int64_t pause_of(const struct finder *finder)
{
    return random_pause(loop_random(), PAUSE_LEAST, PAUSE_MOST, finder->failures);
}

static bool is_over(const struct finder *finder)
{
    return !finder->plane || fiber_is_cancelled(fiber_current());
}

static void free_finder(struct finder *finder)
{
    if (finder->type->release && finder->options)
        finder->type->release(finder->options);
    found_list_release(&finder->found);
    found_list_release(&finder->pending);
    arena_release(&finder->arena);
    free(finder);
}

/* It may go before its fiber has come to its end, which frees it then. */
static void follow(void *argument)
{
    struct finder *finder = argument;
    finder->fiber = fiber_current();
    while (!is_over(finder)) {
        finder->trouble[0] = '\0';
        enum status e = finder->type->follow(finder, finder->options);
        if (is_over(finder))
            break;
        finder_fail(finder, e);
        (void)fiber_sleep_until(loop_now() + pause_of(finder));
    }
    finder->fiber = NULL;
    if (finder->plane)
        finder->is_begun = false;
    else
        free_finder(finder);
}

static void begin(struct finder *finder)
{
    struct loop *loop = finder->plane->options.control_loop;
    if (finder->is_begun || !loop)
        return;
    finder->is_begun = true;
    finder->began = loop_now();
    if (scope_start(loop_scope(loop), follow, finder))
        finder->is_begun = false;
}

/* --- the registry's object */

struct finder_entry {
    struct finder *finder;
};

struct making {
    struct service_plane *plane;
    struct reader *reader;
    const struct finder_recipe *recipe;
};

static void add_series(struct finder *finder)
{
    struct metrics *metrics = finder->plane->options.metrics;
    if (!metrics)
        return;
    finder->up_series = metrics_series(metrics, &up_family, &finder->name);
    finder->endpoints_series = metrics_series(metrics, &endpoints_family, &finder->name);
    finder->age_series = metrics_series(metrics, &age_family, &finder->name);
    finder->changes_series = metrics_series(metrics, &changes_family, &finder->name);
    finder->failures_series = metrics_series(metrics, &failures_family, &finder->name);
}

/* The options are read once more, from a copy that lives as long as the source; what there is to
 * complain of was complained of before. */
static enum status read_options(struct finder *finder, const struct making *making)
{
    const struct finder_recipe *recipe = making->recipe;
    struct diagnostics silent;
    struct node *options;
    diagnostics_init(&silent, &finder->arena);
    finder->text = finder->name = arena_copy(&finder->arena, recipe->text);
    finder->rest = arena_copy(&finder->arena, recipe->rest);
    finder->options = arena_zalloc(&finder->arena, recipe->type->table->size);
    if (!finder->text.data || !finder->rest.data || !finder->options)
        return NO_MEMORY;
    struct reader reader = {.arena = &finder->arena, .diagnostics = &silent};
    enum status e = source_key_copy(&finder->arena, recipe->options, &options);
    if (!e)
        e = option_read(&reader, recipe->type->table, options, finder->options);
    if (e || silent.errors)
        return e ? e : INVALID;
    reader.diagnostics = making->reader->diagnostics;
    reader.subject = making->reader->subject;
    return recipe->type->prepare
               ? recipe->type->prepare(finder, &reader, recipe->place, finder->options)
               : OK;
}

static enum status init_entry(void *object, void *context)
{
    struct finder_entry *entry = object;
    const struct making *making = context;
    struct finder *finder = calloc(1, sizeof *finder);
    if (!finder)
        return NO_MEMORY;
    finder->type = making->recipe->type;
    finder->plane = making->plane;
    finder->outcome = INCOMPLETE;
    arena_init(&finder->arena, 0, 0);
    list_init(&finder->watches);
    timer_init(&finder->grace, grace_is_over);
    enum status e = read_options(finder, making);
    if (e) {
        free_finder(finder);
        return e;
    }
    add_series(finder);
    list_push_back(&making->plane->finders, &finder->node);
    entry->finder = finder;
    return OK;
}

static void set_series(struct finder *finder, bool is_up, size_t endpoints, int64_t age)
{
    struct metrics_shard *shard = finder->plane->options.control_shard;
    if (!finder->plane->options.metrics)
        return;
    metric_set(shard, finder->up_series, is_up);
    metric_set(shard, finder->endpoints_series, (int64_t)endpoints);
    metric_set(shard, finder->age_series, age / MILLISECOND);
}

/* What nobody asks is not down. */
static void release_entry(void *object)
{
    struct finder *finder = ((struct finder_entry *)object)->finder;
    set_series(finder, true, 0, 0);
    drop_pending(finder);
    list_remove(&finder->node);
    bool is_running = finder->is_begun;
    finder->plane = NULL;
    if (finder->fiber)
        fiber_cancel(finder->fiber);
    if (!is_running)
        free_finder(finder);
}

static const struct registry_kind finder_kind = {
    "finder", sizeof(struct finder_entry), init_entry, release_entry};

/* --- watches */

enum status finder_watch_add(struct roster *roster, struct reader *reader,
    const struct finder_recipe *recipe, const void *user)
{
    struct making making = {roster->plane, reader, recipe};
    struct text key = text_growing(0);
    struct finder_watch *watch = calloc(1, sizeof *watch);
    void *entry = NULL;
    source_key_write(recipe->text, recipe->options, &key);
    enum status e = watch && !key.failed ? OK : NO_MEMORY;
    if (!e)
        e = registry_obtain(
            roster->plane->options.registry, &finder_kind, text_slice(&key), &making, &entry);
    text_release(&key);
    if (e) {
        free(watch);
        return e;
    }
    *watch = (struct finder_watch){.entry = entry, .roster = roster, .user = user};
    list_push_back(&roster->watches, &watch->node);
    list_push_back(&watch->entry->finder->watches, &watch->finder_node);
    return OK;
}

void finder_watch_remove_all(struct roster *roster)
{
    list_each (node, &roster->watches) {
        struct finder_watch *watch = list_entry(node, struct finder_watch, node);
        list_remove(&watch->node);
        list_remove(&watch->finder_node);
        registry_release(watch->entry);
        free(watch);
    }
}

void finder_watch_start_all(struct roster *roster)
{
    list_each (node, &roster->watches)
        begin(list_entry(node, struct finder_watch, node)->entry->finder);
}

struct finder *finder_watch_find(const struct roster *roster, const void *user)
{
    list_each (node, &roster->watches) {
        struct finder_watch *watch = list_entry(node, struct finder_watch, node);
        if (watch->user == user)
            return watch->entry->finder;
    }
    return NULL;
}

/* --- looking */

const struct found_list *finder_found(const struct finder *finder)
{
    return &finder->found;
}

enum status finder_outcome(const struct finder *finder)
{
    return finder->outcome;
}

static int64_t age_of(const struct finder *finder)
{
    instant since = finder->heard ? finder->heard : finder->began;
    return since ? clock_now() - since : 0;
}

void finder_collect_metrics(struct service_plane *plane)
{
    list_each (node, &plane->finders) {
        struct finder *finder = list_entry(node, struct finder, node);
        set_series(finder, finder->is_up, finder->found.count, age_of(finder));
    }
}

static void describe(const struct finder *finder, struct json_writer *w)
{
    json_write_object(w);
    json_put_text(w, "source", finder->name);
    json_put_text(w, "state",
        finder->is_pending     ? SLICE("empty")
        : finder->is_up        ? SLICE("up")
        : finder->failed_since ? SLICE("down")
                               : SLICE("starting"));
    json_put_u64(w, "endpoints", finder->found.count);
    json_put_double(w, "age_seconds", (double)age_of(finder) / (double)SECOND);
    if (finder->failed_since && finder->trouble[0]) {
        json_put_text(w, "trouble", slice_of_text(finder->trouble));
    }
    json_write_object_end(w);
}

void finder_watch_describe(const struct roster *roster, struct json_writer *w)
{
    if (list_is_empty(&roster->watches))
        return;
    json_put_array(w, "sources");
    list_each (node, &roster->watches)
        describe(list_entry(node, struct finder_watch, node)->entry->finder, w);
    json_write_array_end(w);
}

/* --- for kinds of sources */

struct service_plane *finder_plane(const struct finder *finder)
{
    return finder->plane;
}

void finder_name_add(struct finder *finder, struct arena *arena, struct slice word)
{
    struct slice name = arena_format(arena, "%.*s %.*s", SLICE_ARG(finder->name), SLICE_ARG(word));
    if (name.data)
        finder->name = name;
}

bool finder_is_up(const struct finder *finder)
{
    return finder->is_up;
}

struct slice finder_rest(const struct finder *finder)
{
    return finder->rest;
}

struct slice finder_text(const struct finder *finder)
{
    return finder->text;
}
