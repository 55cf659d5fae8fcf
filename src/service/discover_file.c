/* Files with a list of endpoints, watched.
 *
 * A file is read when whoever wrote it has closed it, or moved it into place, and things have been
 * quiet for a moment; what cannot be read whole changes nothing. Where the system cannot tell of
 * changes (a network's file system), it is looked at now and then, and read when it was the same
 * twice. */
#include "service/finder.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "run/file_watch.h"
#include "run/loop.h"
#include "run/wait.h"
#include "service/instance.h"

#define LOOK_EVERY (10 * SECOND)
#define SIZE_MAX_  ((size_t)64 << 20)

struct file_options {
    struct source_options common;
    struct slice path; /* ends with a NUL */
    bool is_json;
};

static const struct option rows[] = {SOURCE_ROWS, {NULL}};

static const struct option_table table = {.name = "file",
    .help =
        "A file with a list of endpoints, JSON or YAML by its name: `file:///run/cart.json`, or "
        "`file://cart.yaml` beside the configuration. It is read anew when it changes; one that "
        "cannot be read whole changes nothing.",
    .options = rows,
    .size = sizeof(struct file_options),
    .example = "{grace: 1m}"};

static bool is_named_like(struct slice path, const char *suffix)
{
    return slice_has_suffix(path, slice_of_text(suffix));
}

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    struct file_options *options = value;
    options->path = source_path(reader->arena, place.source, finder_rest(finder));
    if (!options->path.data)
        return NO_MEMORY;
    options->is_json = is_named_like(options->path, ".json");
    if (options->is_json || is_named_like(options->path, ".yaml") ||
        is_named_like(options->path, ".yml"))
        return OK;
    return diagnostics_error(reader->diagnostics, place, SLICE("file:///run/cart.json"),
        "a file's name ends with .json, .yaml or .yml, which says what it is");
}

struct following {
    struct finder *finder;
    const struct file_options *options;
    struct file_watch *watch;
    struct wait_queue changed;
    bool has_changed;
    struct stat read, seen; /* the file as it was read, and as it was looked at last */
};

static void file_changed(void *argument)
{
    struct following *f = argument;
    f->has_changed = true;
    wait_queue_wake_all(&f->changed);
}

static void read_file(struct following *f)
{
    struct arena arena;
    char room[200];
    const struct source *source;
    struct text trouble = text_fixed(room, sizeof room);
    arena_init(&arena, (size_t)64 << 10, 0);
    struct findings findings = {.arena = &arena};
    (void)stat(f->options->path.data, &f->read);
    f->seen = f->read;
    enum status e = source_read(&arena, f->options->path, SIZE_MAX_, &source);
    if (e)
        text_format(&trouble, "the file cannot be read: %s", status_sentence(e));
    else
        e = instance_read_all(source, f->options->is_json, "its file", &findings, &trouble);
    if (!e) {
        (void)finder_report(f->finder, &findings);
    } else {
        finder_complain(f->finder, "%.*s", SLICE_ARG(text_slice(&trouble)));
        finder_fail(f->finder, e);
    }
    arena_release(&arena);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Nothing was told for a while. */
static void look(struct following *f)
{
    struct stat now;
    if (file_watch_is_being_written(f->watch) || stat(f->options->path.data, &now))
        return;
    if (!is_same(&now, &f->read) && is_same(&now, &f->seen))
        read_file(f);
    else if (is_same(&now, &f->read) && finder_is_up(f->finder))
        finder_heard(f->finder);
    f->seen = now;
}

static enum status keep_reading(struct following *f)
{
    enum status e = OK;
    read_file(f);
    while (e != CANCELLED) {
        e = wait_queue_wait(&f->changed, loop_now() + LOOK_EVERY);
        if (e == CANCELLED || fiber_is_cancelled(fiber_current()))
            break;
        if (f->has_changed) {
            f->has_changed = false;
            read_file(f);
        } else {
            look(f);
        }
    }
    return CANCELLED;
}

static enum status follow(struct finder *finder, void *value)
{
    struct following f = {.finder = finder, .options = value};
    wait_queue_init(&f.changed);
    enum status e = file_watch_new(f.options->path, file_changed, &f, &f.watch);
    if (e) {
        finder_complain(finder, "the file's folder cannot be watched");
        return e;
    }
    e = keep_reading(&f);
    file_watch_free(f.watch);
    return e;
}

const struct discovery file_discovery = {.scheme = "file",
    .form = "file:///PATH.json",
    .help = "Files with a list of endpoints.",
    .table = &table,
    .prepare = prepare,
    .follow = follow};
