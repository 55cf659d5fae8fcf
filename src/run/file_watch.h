/* Noticing that something on disk has changed: a file, written in place or replaced, also
 * through links as Kubernetes does; or anything in a folder. Changes that come close together are
 * reported once, a moment after the last. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct file_watch;

/* On the calling thread's loop; `changed` is called outside any fiber. IO_ERROR when the system
 * cannot watch. A file may come later; its folder is there. */
enum status file_watch_new(struct slice path, void (*changed)(void *argument), void *argument,
    struct file_watch **ret_watch);

/* Somebody has begun to write the file in place and has not closed it yet: it is not told of until
 * then. */
bool file_watch_is_being_written(const struct file_watch *watch);

void file_watch_free(struct file_watch *watch);
