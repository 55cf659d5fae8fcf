#include "service/guard.h"

#include <stdlib.h>

static void free_guard(struct guard *guard)
{
    history_release(&guard->history);
    free((char *)guard->name.data);
    free(guard);
}

static struct guard *new_guard(struct service_plane *plane, struct slice name)
{
    struct guard *guard = aligned_alloc(64, (sizeof *guard + 63) & ~(size_t)63);
    char *copy = malloc(name.size + 1);
    if (!guard || !copy) {
        free(guard);
        free(copy);
        return NULL;
    }
    *guard = (struct guard){.plane = plane, .name = slice_of(copy, name.size)};
    memcpy(copy, name.data, name.size);
    if (history_init(&guard->history) == OK)
        return guard;
    free(copy);
    free(guard);
    return NULL;
}

struct guard *guard_obtain(struct service_plane *plane, struct slice name)
{
    struct guard *guard = table_get(&plane->guard_names, name);
    if (guard)
        return guard;
    guard = new_guard(plane, name);
    if (!guard)
        return NULL;
    if (table_put(&plane->guard_names, guard->name, guard)) {
        free_guard(guard);
        return NULL;
    }
    pthread_mutex_lock(&plane->mutex);
    list_push_back(&plane->guards, &guard->node);
    pthread_mutex_unlock(&plane->mutex);
    return guard;
}

void guards_free(struct service_plane *plane)
{
    list_each (node, &plane->guards)
        free_guard(list_entry(node, struct guard, node));
    table_release(&plane->guard_names);
}

void guard_note(struct guard *guard, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    history_note(&guard->history, format, arguments);
    va_end(arguments);
}
