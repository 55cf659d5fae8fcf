/* Noticing that the configuration on disk has changed: a file, written in place or replaced, also
 * through links as Kubernetes does; or anything in a folder. Changes that come close together are
 * reported once, a moment after the last. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct file_watch;

/* On the calling thread's loop; `changed` is called outside any fiber. IO_ERROR when the system
 * cannot watch. */
enum status file_watch_new(struct slice path, void (*changed)(void *argument), void *argument,
    struct file_watch **ret_watch);
void file_watch_free(struct file_watch *watch);
