/* Runtime state that survives reloads: health, in-flight counts, limit counters, caches.
 *
 * A snapshot is built anew at every reload; what it has learned must not be. So a new snapshot
 * obtains its runtime objects here by kind and name, and gets those that the old one is using; an
 * object dies with its last user.
 *
 *     static const struct registry_kind kind = {"limit", sizeof(struct state), init, release};
 *     e = registry_obtain(registry, &kind, name, options, &object);
 *     if (!e)
 *         e = arena_own(&snapshot->arena, registry_release, object);
 *
 * The registry is made by main and passed along. It is called on the control thread, while
 * snapshots are loaded and freed; a mutex guards it all the same. What is inside an object is its
 * owner's business: workers use it without the registry, through atomics or locks of its own. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct registry;

/* What a kind of object is. Kinds are told apart by their name. */
struct registry_kind {
    const char *name;
    size_t size; /* bytes of an object; it is cleared and begins at a cache line of its own */

    /* Makes a cleared object ready; `context` is what registry_obtain was given. A failure becomes
     * registry_obtain's, and `release` is not called. Or NULL. May itself obtain objects. */
    enum status (*init)(void *object, void *context);

    /* Lets go of what is in the object, not of its memory. Or NULL. */
    void (*release)(void *object);
};

struct registry *registry_new(void); /* NULL: no memory */

/* Everything obtained has been released by then. */
void registry_free(struct registry *registry);

/* The object of that kind and name, made if there is none, counted once more. NO_MEMORY, FULL, or
 * what init says. */
enum status registry_obtain(struct registry *registry, const struct registry_kind *kind,
    struct slice name, void *context, void **ret_object);

/* Counts an object once more that the caller has obtained. */
void registry_keep(void *object);

/* Counts once less; the last one releases and frees the object. The parameter is as arena_defer
 * wants it. NULL is fine. */
void registry_release(void *object);

/* How many objects there are, for a test or a metric. */
size_t registry_count(struct registry *registry);
