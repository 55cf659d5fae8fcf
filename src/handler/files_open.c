#include "handler/files_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* O_NONBLOCK, since opening a pipe would wait; O_NOCTTY, since a terminal would become ours. */
#define OPEN_FLAGS    (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define RACES_ALLOWED 8 /* openat2 gives up with EAGAIN when names change meanwhile */

static enum status status_of(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM ? FULL : NOT_FOUND;
}

enum status files_open_root(const char *path, int *ret_fd)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return status_of(errno);
    *ret_fd = fd;
    return OK;
}

/* Copies a path with a NUL; false when it is too long or has a NUL inside. */
static bool make_name(struct slice path, char name[PATH_MAX])
{
    if (path.size >= PATH_MAX || slice_find(path, '\0') < path.size)
        return false;
    if (path.size == 0)
        path = SLICE(".");
    memcpy(name, path.data, path.size);
    name[path.size] = '\0';
    return true;
}

/* Takes over the descriptor. */
static enum status accept_fd(int fd, int *ret_fd, struct stat *ret_stat)
{
    struct stat stat;
    if (fstat(fd, &stat) || !(S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode))) {
        close(fd);
        return NOT_FOUND;
    }
    *ret_fd = fd;
    *ret_stat = stat;
    return OK;
}

enum status files_open(int root, struct slice path, int *ret_fd, struct stat *ret_stat)
{
    char name[PATH_MAX];
    if (!make_name(path, name))
        return NOT_FOUND;
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd;
    int races = 0;
    do
        fd = syscall(SYS_openat2, root, name, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || (errno == EAGAIN && races++ < RACES_ALLOWED)));
    if (fd >= 0)
        return accept_fd((int)fd, ret_fd, ret_stat);
    /* EPERM is what a filter for system calls says that is older than the call. */
    if (errno == ENOSYS || errno == EPERM)
        return files_open_by_walking(root, path, ret_fd, ret_stat);
    return status_of(errno);
}

/* One step down, by a name that is no way up. -1 when there is none. */
static int step(int folder, struct slice segment, int flags)
{
    char name[PATH_MAX];
    if (segment.size == 0 || slice_equal(segment, SLICE(".")))
        return openat(folder, ".", flags);
    if (slice_equal(segment, SLICE("..")) || !make_name(segment, name)) {
        errno = ENOENT;
        return -1;
    }
    return openat(folder, name, flags | O_NOFOLLOW);
}

enum status files_open_by_walking(int root, struct slice path, int *ret_fd, struct stat *ret_stat)
{
    int folder = root;
    for (;;) {
        size_t slash = slice_find(path, '/');
        bool is_last = slash == path.size;
        int flags = is_last ? OPEN_FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC;
        int next = step(folder, slice_head(path, slash), flags);
        int error = errno;
        if (folder != root)
            close(folder);
        if (next < 0)
            return status_of(error);
        if (is_last)
            return accept_fd(next, ret_fd, ret_stat);
        folder = next;
        path = slice_from(path, slash + 1);
    }
}
