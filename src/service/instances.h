/* Instances that register themselves, by service: each has a lease, and is gone when it has not
 * been renewed in time. Kept as long as some configuration has a source `registry://NAME`, so
 * reloads do not touch them. All on the control thread. */
#pragma once

#include "base/json_writer.h"
#include "service/instance.h"
#include "service/plane.h"

struct instances;

#define INSTANCES_MAX        10000 /* of one service */
#define INSTANCE_ID_MAX      128   /* bytes */
#define INSTANCE_BODY_MAX    ((size_t)16 << 10)
#define INSTANCE_LEASE_LEAST SECOND

/* Those of a service, made if there are none yet, for a source that shows them; `token` is what
 * lets strangers register (empty: nobody). Counted. */
enum status instances_obtain(struct service_plane *plane, struct slice service, struct slice token,
    struct instances **ret_instances);
void instances_ref(struct instances *instances);
void instances_unref(struct instances *instances); /* NULL is fine */

/* The plane goes, though some may still be in use. */
void instances_forget(struct service_plane *plane);

/* The same for who looks; NULL: no source has that name. Borrowed. */
struct instances *instances_find(struct service_plane *plane, struct slice service);

/* True when that is the token. */
bool instances_admit(const struct instances *instances, struct slice token);

/* Registers an instance by JSON, or anew; an empty body renews what there is. INVALID, with why in
 * `trouble`; NOT_FOUND: nothing is there to renew; FULL, NO_MEMORY. */
enum status instances_put(struct instances *instances, struct slice id, struct slice body,
    struct text *trouble, bool *ret_is_new);

/* NOT_FOUND. */
enum status instances_remove(struct instances *instances, struct slice id);

/* Moves with each change, renewals aside; not 0. */
uint64_t instances_index(const struct instances *instances);

/* Waits until the index is another. OK, TIMEOUT, CANCELLED. */
enum status instances_wait(struct instances *instances, uint64_t index, instant deadline);

/* {"service": …, "index": …, "instances": […]} */
void instances_write(const struct instances *instances, struct json_writer *writer);

/* Who has registered, for a process that takes this one's place: what they said, and until when it
 * holds by the monotonic clock, which both have. */
void instances_save(struct service_plane *plane, struct text *text);

/* Takes that over, or a part of it after others: it holds for services whose instances are obtained
 * from now on, for the first time. What is no such text is read over. */
void instances_restore(struct service_plane *plane, struct slice text);

/* Reports them all. */
enum status instances_find_all(const struct instances *instances, struct findings *findings);
