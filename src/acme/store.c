#include "acme/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    struct acme_store store; /* first */
    char path[];
};

struct folder_lock {
    int descriptor; /* owned */
};

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && !memchr(".-_/", c, 4))
            return false;
    }
    /* No way out of the folder. */
    return name.size && name.data[0] != '/' && slice_find_slice(name, SLICE("..")) == name.size;
}

static bool make_path(
    const struct acme_store *store, struct slice name, const char *suffix, char ret_path[PATH_MAX])
{
    const struct folder *folder = (const struct folder *)store;
    int size = snprintf(ret_path, PATH_MAX, "%s/%.*s%s", folder->path, SLICE_ARG(name), suffix);
    return is_name(name) && size > 0 && size < PATH_MAX;
}

/* Makes the folders above a path, for the owner alone. */
static void make_folders(char *path)
{
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        (void)mkdir(path, 0700); /* if it cannot be made, opening the file says why */
        *at = '/';
    }
}

static enum status read_whole(int descriptor, struct arena *arena, struct slice *ret_value)
{
    struct stat facts;
    if (fstat(descriptor, &facts))
        return IO_ERROR;
    if ((size_t)facts.st_size > ACME_VALUE_MAX)
        return TOO_LARGE;
    char *data = arena_bytes(arena, (size_t)facts.st_size + 1);
    if (!data)
        return NO_MEMORY;
    size_t size = 0;
    while (size < (size_t)facts.st_size) {
        ssize_t got = read(descriptor, data + size, (size_t)facts.st_size - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return IO_ERROR;
        size += (size_t)got;
    }
    *ret_value = slice_of(data, size);
    return OK;
}

static enum status get(
    struct acme_store *store, struct slice name, struct arena *arena, struct slice *ret_value)
{
    char path[PATH_MAX];
    if (!make_path(store, name, "", path))
        return INVALID;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return errno == ENOENT || errno == ENOTDIR ? NOT_FOUND : IO_ERROR;
    enum status e = read_whole(descriptor, arena, ret_value);
    close(descriptor);
    return e;
}

static bool write_whole(int descriptor, struct slice value)
{
    while (value.size) {
        ssize_t sent = write(descriptor, value.data, value.size);
        if (sent < 0 && errno != EINTR)
            return false;
        if (sent > 0)
            value = slice_from(value, (size_t)sent);
    }
    return fsync(descriptor) == 0;
}

/* Beside it first, then in its place. */
static enum status put(struct acme_store *store, struct slice name, struct slice value)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    if (!make_path(store, name, "", path) || !make_path(store, name, ".new", fresh))
        return INVALID;
    make_folders(fresh);
    int descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return IO_ERROR;
    bool is_written = write_whole(descriptor, value);
    close(descriptor);
    if (is_written && rename(fresh, path) == 0)
        return OK;
    unlink(fresh);
    return IO_ERROR;
}

static void drop(struct acme_store *store, struct slice name)
{
    char path[PATH_MAX];
    if (make_path(store, name, "", path))
        unlink(path);
}

/* The kernel lets go of it when the process ends, however it ends. */
static enum status lock(struct acme_store *store, struct slice name, void **ret_lock)
{
    char path[PATH_MAX];
    if (!make_path(store, name, ".lock", path))
        return INVALID;
    make_folders(path);
    struct folder_lock *held = malloc(sizeof *held);
    if (!held)
        return NO_MEMORY;
    held->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    enum status e = held->descriptor < 0                         ? IO_ERROR
                    : flock(held->descriptor, LOCK_EX | LOCK_NB) ? FULL
                                                                 : OK;
    if (e) {
        if (held->descriptor >= 0)
            close(held->descriptor);
        free(held);
        return e;
    }
    *ret_lock = held;
    return OK;
}

static void unlock(struct acme_store *store, void *lock)
{
    struct folder_lock *held = lock;
    (void)store;
    close(held->descriptor);
    free(held);
}

static void free_folder(struct acme_store *store)
{
    free(store);
}

static const struct acme_store_ops ops = {
    .get = get, .put = put, .drop = drop, .lock = lock, .unlock = unlock, .free = free_folder};

enum status acme_store_open(struct slice path, struct acme_store **ret_store)
{
    struct folder *folder = calloc(1, sizeof *folder + path.size + 1);
    if (!folder)
        return NO_MEMORY;
    folder->store.ops = &ops;
    memcpy(folder->path, path.data, path.size);
    *ret_store = &folder->store;
    return OK;
}
