#include "service/watched_file.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/json_writer.h"
#include "config/source.h"
#include "run/file_watch.h"
#include "run/loop.h"
#include "run/timer.h"
#include "service/plane.h"

#define LOOK_EVERY (10 * SECOND) /* where the system cannot tell of changes */

/* What one worker looks at at the moment. */
struct holder {
    _Alignas(64) _Atomic(void *) thing;
};

struct watched_file {
    const struct watched_kind *kind;
    const struct service_plane *plane; /* borrowed, or NULL */
    char *path;                        /* owned */
    _Atomic(void *) thing;             /* owned */
    struct holder *holders;            /* owned: of the workers and the control thread */
    unsigned holder_count;
    struct file_watch *watch; /* owned, or NULL */
    struct timer look;
    struct stat read, seen; /* the file as it was read, and as it was looked at last */
    uint32_t good, bad;
    int64_t loaded;                    /* wall-clock nanoseconds, of what was made last */
    char trouble[WATCHED_TROUBLE_MAX]; /* of the last reading; empty: it was good */
};

/* --- holding */

/* Between reading which thing it is and saying so it may be replaced: then again. */
const void *watched_file_hold(const struct watched_file *file, unsigned worker)
{
    _Atomic(void *) *held = &file->holders[worker].thing;
    void *thing = atomic_load(&file->thing);
    for (;;) {
        atomic_store(held, thing);
        void *again = atomic_load(&file->thing);
        if (again == thing)
            return thing;
        thing = again;
    }
}

void watched_file_let_go(const struct watched_file *file, unsigned worker)
{
    atomic_store_explicit(&file->holders[worker].thing, NULL, memory_order_release);
}

struct slice watched_file_path(const struct watched_file *file)
{
    return slice_of_text(file->path);
}

/* Who holds it does not wait meanwhile, so this is over at once. */
static void replace(struct watched_file *file, void *thing)
{
    void *old = atomic_exchange(&file->thing, thing);
    for (unsigned i = 0; old && i < file->holder_count; i++)
        while (atomic_load(&file->holders[i].thing) == old)
            sched_yield();
    if (old)
        file->kind->free(old);
}

/* --- reading */

static enum status make(struct watched_file *file, struct text *trouble)
{
    struct arena arena;
    const struct source *source;
    void *thing;
    arena_init(&arena, (size_t)64 << 10, 0);
    enum status e = source_read(&arena, slice_of_text(file->path), file->kind->size_max, &source);
    if (e && e != NO_MEMORY)
        text_format(trouble, "it cannot be read: %s", status_sentence(e));
    if (!e)
        e = file->kind->make(source->text, trouble, &thing);
    arena_release(&arena);
    if (!e)
        replace(file, thing);
    return e == OK || e == NO_MEMORY ? e : INVALID;
}

static void complain(const struct watched_file *file, struct slice trouble)
{
    char room[WATCHED_TROUBLE_MAX + 400];
    const struct service_plane_options *plane = &file->plane->options;
    snprintf(room, sizeof room, "%s %.*s: %.*s; the last good one goes on", file->kind->name,
        SLICE_ARG(slice_head(watched_file_path(file), 300)), SLICE_ARG(trouble));
    if (plane->notice)
        plane->notice(plane->notice_argument, room);
}

static struct stat look_at(const struct watched_file *file)
{
    struct stat now = {0};
    if (stat(file->path, &now))
        now.st_size = -1;
    return now;
}

static void note(struct watched_file *file, enum status e, struct slice trouble)
{
    struct slice said = slice_head(e ? trouble : SLICE_NONE, sizeof file->trouble - 1);
    if (said.size)
        memcpy(file->trouble, said.data, said.size);
    file->trouble[said.size] = '\0';
    if (!e)
        file->loaded = clock_wall();
}

static enum status read_file(struct watched_file *file, struct text *trouble)
{
    file->read = file->seen = look_at(file);
    enum status e = make(file, trouble);
    if (e == NO_MEMORY)
        text_add_literal(trouble, "there is no memory for it");
    note(file, e, text_slice(trouble));
    if (file->plane && file->plane->options.metrics)
        metric_add(file->plane->options.control_shard, e ? file->bad : file->good, 1);
    return e;
}

static void read_again(struct watched_file *file)
{
    char room[WATCHED_TROUBLE_MAX];
    struct text trouble = text_fixed(room, sizeof room);
    if (read_file(file, &trouble) && file->plane)
        complain(file, text_slice(&trouble));
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* --- watching */

static void told(void *argument)
{
    read_again(argument);
}

static bool is_being_written(const struct watched_file *file)
{
    return file->watch && file_watch_is_being_written(file->watch);
}

/* A part of a list can be a list: it is read when it was the same twice. */
static void look(struct timer *timer)
{
    struct watched_file *file = list_entry(timer, struct watched_file, look);
    struct stat now = look_at(file);
    if (!is_being_written(file) && !is_same(&now, &file->read) && is_same(&now, &file->seen))
        read_again(file);
    file->seen = now;
    timer_set(&file->look, loop_now() + LOOK_EVERY);
}

static void begin_watching(struct watched_file *file)
{
    if (!file->plane || loop_current() != file->plane->options.control_loop || !loop_current())
        return;
    (void)file_watch_new(watched_file_path(file), told, file, &file->watch);
    timer_set(&file->look, loop_now() + LOOK_EVERY);
}

/* --- as an object of the registry */

struct making {
    const struct watched_context *context;
    const struct watched_kind *kind;
    struct slice path;
    struct text *trouble;
};

static void release(void *object)
{
    struct watched_file *file = object;
    if (timer_is_set(&file->look))
        timer_cancel(&file->look);
    file_watch_free(file->watch);
    void *thing = atomic_load(&file->thing);
    if (thing)
        file->kind->free(thing);
    free(file->holders);
    free(file->path);
}

static enum status take_memory(struct watched_file *file, const struct making *making)
{
    file->holder_count = making->context->workers + 1;
    file->path = strndup(making->path.data, making->path.size);
    file->holders =
        aligned_alloc(_Alignof(struct holder), file->holder_count * sizeof *file->holders);
    if (!file->path || !file->holders)
        return NO_MEMORY;
    for (unsigned i = 0; i < file->holder_count; i++)
        atomic_init(&file->holders[i].thing, NULL);
    return OK;
}

static void make_series(struct watched_file *file, struct metrics *metrics)
{
    static const struct metric_family reads = {.name = "weir_file_reads_total",
        .help = "How often a file that is watched was read, and whether it was good.",
        .kind = METRIC_COUNTER,
        .labels = {"file", "outcome"}};
    file->good = metrics_series(
        metrics, &reads, (const struct slice[]){watched_file_path(file), SLICE("good")});
    file->bad = metrics_series(
        metrics, &reads, (const struct slice[]){watched_file_path(file), SLICE("bad")});
}

static enum status init(void *object, void *context)
{
    struct watched_file *file = object;
    const struct making *making = context;
    file->kind = making->kind;
    file->plane = making->context->plane;
    timer_init(&file->look, look);
    enum status e = take_memory(file, making);
    if (!e) {
        make_series(file, making->context->metrics);
        e = read_file(file, making->trouble);
    }
    if (e)
        release(file);
    else
        begin_watching(file);
    return e;
}

/* The thread that makes and frees what is in it may look at it as it is. */
void watched_file_describe(const void *object, struct json_writer *writer)
{
    const struct watched_file *file = object;
    json_put_text(writer, "file", watched_file_path(file));
    json_put_text(writer, "of", slice_of_text(file->kind->name));
    if (file->kind->count)
        json_put_u64(writer, "entries", file->kind->count(atomic_load(&file->thing)));
    json_put_time(writer, "loaded", file->loaded);
    if (*file->trouble)
        json_put_text(writer, "trouble", slice_of_text(file->trouble));
    else
        json_put_null(writer, "trouble");
}

enum status watched_file_obtain(const struct watched_context *context,
    const struct watched_kind *kind, struct slice path, struct text *trouble,
    struct watched_file **ret_file)
{
    static const struct registry_kind registry_kind = {
        WATCHED_FILE_KIND, sizeof(struct watched_file), init, release};
    struct making making = {context, kind, path, trouble};
    struct text name = text_growing(0);
    void *object;
    text_format(&name, "%s %.*s", kind->name, SLICE_ARG(path));
    enum status e = name.failed ? NO_MEMORY
                                : registry_obtain(context->registry, &registry_kind,
                                      text_slice(&name), &making, &object);
    text_release(&name);
    if (e)
        return e;
    struct watched_file *file = object;
    struct stat now = look_at(file);
    if (!is_being_written(file) && !is_same(&now, &file->read))
        read_again(file);
    *ret_file = file;
    return OK;
}
