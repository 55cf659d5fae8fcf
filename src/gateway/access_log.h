/* The access log: one line for every answer, and for every connection of layer 4.
 *
 * Workers format lines into rings of their own, without a lock or a system call; one writer thread
 * writes the rings out, in large pieces. When the file or pipe is slower than the lines come, or
 * the disk is full, lines are dropped and counted: a worker never waits for the log.
 *
 * The log outlives snapshots: a reload that names the same target keeps it. */
#pragma once

#include "base/metrics.h"
#include "gateway/options.h"
#include "http/exchange.h"
#include "l4/facts.h"

struct access_log;

struct access_log_counters {
    uint64_t written, dropped, failed_writes;
};

/* IO_ERROR when the target cannot be opened; errno says why. `workers` rings of `options->buffer`
 * bytes. */
enum status access_log_new(
    const struct log_options *options, unsigned workers, struct access_log **ret_log);

/* Writes what is left (for at most a second), then ends the writer thread. NULL is fine. */
void access_log_free(struct access_log *log);

/* Only by that worker's thread. `wall` is when the exchange ended, nanoseconds since 1970. Never
 * blocks. NULL is fine: nothing is logged. */
void access_log_add(
    struct access_log *log, unsigned worker, const struct exchange *x, int64_t wall);

/* The same for a connection of layer 4. */
void access_log_add_l4(
    struct access_log *log, unsigned worker, const struct l4_facts *facts, int64_t wall);

/* Closes and opens the file again (after a rotation); from any thread. */
void access_log_reopen(struct access_log *log);

struct access_log_counters access_log_read_counters(const struct access_log *log);

/* The time of a line. Its text is made once a second. */
struct log_time {
    int64_t wall;   /* nanoseconds since 1970 */
    int64_t second; /* that `text` shows; 0: none yet */
    char text[32];
};

/* One line, as `access_log_add` writes it: for tests. */
void access_log_format(
    const struct exchange *x, enum log_format format, struct log_time *time, struct text *text);

/* The same, of access_log_add_l4. */
void access_log_format_l4(
    const struct l4_facts *facts, enum log_format format, struct log_time *time, struct text *text);
