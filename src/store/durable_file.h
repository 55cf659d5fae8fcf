/* The file of the durable store: an SQLite database in WAL mode, each commit of which is on the
 * disk before it returns. One thread at a time. Other processes may use the same file meanwhile, as
 * a predecessor does during an upgrade.
 *
 *     key BLOB, value BLOB, ends INTEGER (nanoseconds since 1970), lease INTEGER
 *
 * Calls block for the disk. What goes wrong is IO_ERROR, and durable_file_trouble says it in words;
 * whatever was begun is to be rolled back then. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct durable_file;

#define DURABLE_TROUBLE_SIZE 160

struct durable_file_options {
    int64_t size_max; /* bytes */
    int64_t patience; /* nanoseconds that another process' lock is waited for */
};

/* Opens the file, or makes it. INVALID: `trouble` says why not. NO_MEMORY. */
enum status durable_file_open(const char *path, const struct durable_file_options *options,
    char trouble[DURABLE_TROUBLE_SIZE], struct durable_file **ret_file);
void durable_file_close(struct durable_file *file); /* NULL is fine */

/* Why the newest call that failed did. */
const char *durable_file_trouble(const struct durable_file *file);

/* What follows is one step, for other processes and for power failures, until it is committed. Who
 * only reads holds up nobody. */
enum status durable_file_begin(struct durable_file *file, bool writes);
enum status durable_file_commit(struct durable_file *file);
void durable_file_roll_back(struct durable_file *file);

struct durable_row {
    struct slice value; /* null data: there is none. Until the next call */
    int64_t ends;
    bool is_lease;
};

/* What has ended by `now` is as if it were not there. */
enum status durable_file_read(
    struct durable_file *file, struct slice key, int64_t now, struct durable_row *ret_row);
enum status durable_file_write(
    struct durable_file *file, struct slice key, const struct durable_row *row);
enum status durable_file_remove(struct durable_file *file, struct slice key);

/* Takes out up to `most` of what has ended, in a step of its own; tells how many. */
enum status durable_file_sweep(
    struct durable_file *file, int64_t now, int64_t most, int64_t *ret_swept);
