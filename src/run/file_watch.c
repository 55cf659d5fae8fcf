#include "run/file_watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/io.h"
#include "run/loop.h"
#include "run/timer.h"

#define SETTLE (200 * MILLISECOND) /* after the last event, until the file is looked at */
#define EVENTS (IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE)

struct file_watch {
    struct io io;
    struct timer settle;
    char *path;       /* owned */
    struct stat last; /* what the file was when it was looked at */
    bool is_folder;
    bool is_being_written;     /* bytes came, and whoever wrote them has not closed it yet */
    char target[NAME_MAX + 1]; /* the name of what it leads to, if it is a link */
    void (*changed)(void *argument);
    void *argument;
};

static bool is_about_it(const struct file_watch *watch, const struct inotify_event *event)
{
    const char *slash = strrchr(watch->path, '/');
    const char *name = slash ? slash + 1 : watch->path;
    return event->len &&
           (strcmp(event->name, name) == 0 || strcmp(event->name, watch->target) == 0);
}

/* True when there is something to look at: a byte more in a file is nothing yet. */
static bool take_event(struct file_watch *watch, const struct inotify_event *event)
{
    bool is_write = event->mask & IN_MODIFY;
    if (watch->is_folder)
        return !is_write;
    if (is_about_it(watch, event) || event->mask & IN_Q_OVERFLOW)
        watch->is_being_written = is_write;
    return !is_write;
}

static bool take_events(struct file_watch *watch)
{
    _Alignas(struct inotify_event) char events[4096];
    ssize_t size;
    bool is_news = false;
    while ((size = read(watch->io.descriptor, events, sizeof events)) > 0)
        for (ssize_t at = 0; at < size;) {
            const struct inotify_event *event = (const struct inotify_event *)(events + at);
            is_news |= take_event(watch, event);
            at += (ssize_t)(sizeof *event + event->len);
        }
    return is_news;
}

static void something_happened(void *argument, unsigned ready)
{
    struct file_watch *watch = argument;
    (void)ready;
    if (take_events(watch))
        timer_set(&watch->settle, loop_now() + SETTLE);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* One folder is watched once, however often this is asked for. */
static int watch_folder_of(const char *path, int descriptor)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int result = folder ? inotify_add_watch(descriptor, folder, EVENTS) : -1;
    free(folder);
    return result;
}

/* The file may be a link: what it leads to is watched as well, where it is now. */
static void watch_target(struct file_watch *watch, int descriptor)
{
    char *target = watch->is_folder ? NULL : realpath(watch->path, NULL);
    if (target) {
        (void)watch_folder_of(target, descriptor);
        snprintf(watch->target, sizeof watch->target, "%s", strrchr(target, '/') + 1);
    }
    free(target);
}

/* Other files may live in the same folder: only a change of this one counts. One that is missing
 * for the moment is about to be replaced. */
static void settled(struct timer *timer)
{
    struct file_watch *watch = list_entry(timer, struct file_watch, settle);
    struct stat now;
    if (watch->is_being_written || stat(watch->path, &now))
        return;
    if (!watch->is_folder && is_same_file(&now, &watch->last))
        return;
    watch->last = now;
    watch_target(watch, watch->io.descriptor);
    watch->changed(watch->argument);
}

static enum status begin(struct file_watch *watch)
{
    int descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (descriptor < 0)
        return IO_ERROR;
    enum status e = IO_ERROR;
    int folder = watch->is_folder ? inotify_add_watch(descriptor, watch->path, EVENTS)
                                  : watch_folder_of(watch->path, descriptor);
    if (folder >= 0)
        e = io_watch(&watch->io, descriptor, IO_READ, something_happened, watch);
    if (e)
        close(descriptor);
    else
        watch_target(watch, descriptor);
    return e;
}

enum status file_watch_new(struct slice path, void (*changed)(void *argument), void *argument,
    struct file_watch **ret_watch)
{
    struct file_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NO_MEMORY;
    watch->changed = changed;
    watch->argument = argument;
    watch->path = strndup(path.data, path.size);
    timer_init(&watch->settle, settled);
    enum status e = watch->path ? OK : NO_MEMORY;
    if (!e) {
        watch->is_folder = !stat(watch->path, &watch->last) && S_ISDIR(watch->last.st_mode);
        e = begin(watch);
    }
    if (e) {
        free(watch->path);
        free(watch);
        return e;
    }
    *ret_watch = watch;
    return OK;
}

bool file_watch_is_being_written(const struct file_watch *watch)
{
    return watch->is_being_written;
}

void file_watch_free(struct file_watch *watch)
{
    if (!watch)
        return;
    int descriptor = watch->io.descriptor;
    timer_cancel(&watch->settle);
    io_remove(&watch->io);
    close(descriptor);
    free(watch->path);
    free(watch);
}
