/* What is made of a file, kept as long as somebody uses it, and made anew when the file changes,
 * without a reload: lists that other programs write. Of a file that cannot be read, or from which
 * nothing good can be made, nothing is taken: what was made last goes on, the operator is told why,
 * and `weir_file_reads_total` counts it.
 *
 *     static const struct watched_kind kind = {"ip list", SIZE_MAX, make, free};
 *     e = watched_file_obtain(&context, &kind, path, &trouble, &file);
 *     ...
 *     const void *thing = watched_file_hold(file, worker);
 *     ... look at it, without waiting ...
 *     watched_file_let_go(file, worker);
 *
 * Made, and made anew, on the control thread; looked at by all workers, without a lock: each says
 * which one it is looking at, and an old one is freed when nobody does any more. */
#pragma once

#include "base/metrics.h"
#include "base/registry.h"
#include "base/text.h"

#define WATCHED_FILE_KIND "watched file" /* in the registry */

struct json_writer;
struct service_plane;
struct watched_file;

struct watched_kind {
    const char *name; /* "ip list": for messages; no other kind has it */
    size_t size_max;  /* bytes of a file */

    /* Makes a thing of the text, which stays as long as the call. INVALID, and why; NO_MEMORY. */
    enum status (*make)(struct slice text, struct text *trouble, void **ret_thing);
    void (*free)(void *thing);
    size_t (*count)(const void *thing); /* how many entries it has, for `weir status`; or NULL */
};

struct watched_context {
    struct registry *registry;
    struct metrics *metrics;
    unsigned workers;
    const struct service_plane *plane; /* NULL, or without a control loop: nobody watches */
};

#define WATCHED_TROUBLE_MAX 300 /* bytes of a trouble */

/* The file of that path, which all who ask share; counted, for registry_release. It is looked at
 * once more if there is one already. INVALID and why, when nothing good was ever made of it;
 * NO_MEMORY. On the control thread. */
enum status watched_file_obtain(const struct watched_context *context,
    const struct watched_kind *kind, struct slice path, struct text *trouble,
    struct watched_file **ret_file);

/* What was made last, until the same worker lets go of it. The number behind the last worker's is
 * the control thread's. One at a time for each worker and file. */
const void *watched_file_hold(const struct watched_file *file, unsigned worker);
void watched_file_let_go(const struct watched_file *file, unsigned worker);

/* As it was when it was obtained, ends with a NUL. */
struct slice watched_file_path(const struct watched_file *file);

/* For `weir status` (registry_view.h): its path, what it is a file of, how many entries it has,
 * when it was read, and what was wrong with it last. */
void watched_file_describe(const void *object, struct json_writer *writer);
