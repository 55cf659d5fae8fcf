#include "base/registry.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/registry_view.h"
#include "base/table.h"

#define CACHE_LINE  64
#define OBJECTS_MAX ((size_t)1 << 24)

struct registry {
    pthread_mutex_t mutex; /* recursive: an init may obtain, a release may release */
    struct table entries;  /* "kind\0name" to entry */
};

/* Stands right before the object. */
struct entry {
    struct registry *registry;
    const struct registry_kind *kind;
    struct slice key; /* owned */
    size_t users;
};

#define HEAD_SIZE ((sizeof(struct entry) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE)

static void *object_of(struct entry *entry)
{
    return (char *)entry + HEAD_SIZE;
}

static struct entry *entry_of(void *object)
{
    return (struct entry *)((char *)object - HEAD_SIZE);
}

struct registry *registry_new(void)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return NULL;
    table_init(&registry->entries, OBJECTS_MAX);
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&registry->mutex, &recursive);
    pthread_mutexattr_destroy(&recursive);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    must(registry->entries.count == 0);
    table_release(&registry->entries);
    pthread_mutex_destroy(&registry->mutex);
    free(registry);
}

static struct slice new_key(const struct registry_kind *kind, struct slice name)
{
    size_t kind_size = strlen(kind->name) + 1;
    char *key = malloc(kind_size + name.size);
    if (!key)
        return SLICE_NONE;
    memcpy(key, kind->name, kind_size);
    if (name.size)
        memcpy(key + kind_size, name.data, name.size);
    return slice_of(key, kind_size + name.size);
}

static void free_entry(struct entry *entry)
{
    free((char *)entry->key.data);
    free(entry);
}

/* Takes over the key. */
static enum status new_entry(struct registry *registry, const struct registry_kind *kind,
    struct slice key, struct entry **ret_entry)
{
    size_t size = HEAD_SIZE + (kind->size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct entry *entry = aligned_alloc(CACHE_LINE, size);
    if (!entry) {
        free((char *)key.data);
        return NO_MEMORY;
    }
    memset(entry, 0, size);
    *entry = (struct entry){registry, kind, key, 1};
    *ret_entry = entry;
    return OK;
}

/* Puts the entry in only when it is ready, since init may obtain others. Takes over the key. */
static enum status create(struct registry *registry, const struct registry_kind *kind,
    struct slice key, void *context, struct entry **ret_entry)
{
    struct entry *entry;
    enum status e = new_entry(registry, kind, key, &entry);
    if (e)
        return e;
    e = kind->init ? kind->init(object_of(entry), context) : OK;
    if (e) {
        free_entry(entry);
        return e;
    }
    e = table_put(&registry->entries, key, entry);
    if (e) {
        if (kind->release)
            kind->release(object_of(entry));
        free_entry(entry);
        return e;
    }
    *ret_entry = entry;
    return OK;
}

static enum status obtain(struct registry *registry, const struct registry_kind *kind,
    struct slice name, void *context, struct entry **ret_entry)
{
    struct slice key = new_key(kind, name);
    if (!key.data)
        return NO_MEMORY;
    struct entry *entry = table_get(&registry->entries, key);
    if (!entry)
        return create(registry, kind, key, context, ret_entry);
    free((char *)key.data);
    must(entry->kind->size == kind->size);
    entry->users++;
    *ret_entry = entry;
    return OK;
}

enum status registry_obtain(struct registry *registry, const struct registry_kind *kind,
    struct slice name, void *context, void **ret_object)
{
    struct entry *entry;
    pthread_mutex_lock(&registry->mutex);
    enum status e = obtain(registry, kind, name, context, &entry);
    pthread_mutex_unlock(&registry->mutex);
    if (!e)
        *ret_object = object_of(entry);
    return e;
}

void registry_keep(void *object)
{
    struct entry *entry = entry_of(object);
    pthread_mutex_lock(&entry->registry->mutex);
    must(entry->users > 0);
    entry->users++;
    pthread_mutex_unlock(&entry->registry->mutex);
}

void registry_release(void *object)
{
    if (!object)
        return;
    struct entry *entry = entry_of(object);
    struct registry *registry = entry->registry;
    pthread_mutex_lock(&registry->mutex);
    must(entry->users > 0);
    if (--entry->users == 0) {
        table_remove(&registry->entries, entry->key);
        if (entry->kind->release)
            entry->kind->release(object);
        free_entry(entry);
    }
    pthread_mutex_unlock(&registry->mutex);
}

void registry_describe(struct registry *registry, const char *kind, const char *member,
    void (*describe)(const void *object, struct json_writer *writer), struct json_writer *writer)
{
    json_put_array(writer, member);
    pthread_mutex_lock(&registry->mutex);
    table_each (item, &registry->entries) {
        struct entry *entry = item->value;
        if (strcmp(entry->kind->name, kind) != 0)
            continue;
        json_write_object(writer);
        describe(object_of(entry), writer);
        json_write_object_end(writer);
    }
    pthread_mutex_unlock(&registry->mutex);
    json_write_array_end(writer);
}

size_t registry_count(struct registry *registry)
{
    pthread_mutex_lock(&registry->mutex);
    size_t count = registry->entries.count;
    pthread_mutex_unlock(&registry->mutex);
    return count;
}
