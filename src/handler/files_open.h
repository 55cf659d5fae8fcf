/* Opening what lies below a folder, and nothing else: not through "..", not through links that lead
 * out, not through /proc's magic ones. The kernel watches (openat2, RESOLVE_BENEATH); where it
 * cannot, no link is followed at all.
 *
 * These calls go to the disk, or its cache, in the calling thread. */
#pragma once

#include <sys/stat.h>

#include "base/slice.h"
#include "base/status.h"

/* The folder that everything is to be below, as it is named now: a link may have been turned to
 * another one since the last time. For the caller to close. NOT_FOUND, or FULL when there are no
 * descriptors. */
enum status files_open_root(const char *path, int *ret_fd);

/* Opens `path` (relative, without a slash in front; empty: the folder itself) for reading; for the
 * caller to close. `ret_stat` says what it is: a regular file or a folder. NOT_FOUND for everything
 * that cannot be opened, whatever the reason, and for what is neither; FULL when there are no
 * descriptors. */
enum status files_open(int root, struct slice path, int *ret_fd, struct stat *ret_stat);

/* The same without openat2, for kernels that lack it and for its test. */
enum status files_open_by_walking(int root, struct slice path, int *ret_fd, struct stat *ret_stat);
