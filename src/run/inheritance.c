#include "run/inheritance.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PASSED_DESCRIPTOR 3 /* sd_listen_fds(3) */

#define NOTES_MAX               72

struct inheritance {
    struct inherited *items; /* owned; so are their names */
    size_t count, capacity;
    struct inherited_note notes[NOTES_MAX]; /* their texts are owned */
    size_t note_count;
    bool is_settled;
};

enum status inheritance_new(struct inheritance **ret_inheritance)
{
    struct inheritance *inheritance = calloc(1, sizeof *inheritance);
    if (!inheritance)
        return NO_MEMORY;
    *ret_inheritance = inheritance;
    return OK;
}

static void close_item(struct inherited *item)
{
    if (item->descriptor >= 0)
        close(item->descriptor);
    item->descriptor = -1;
}

static void free_note(struct inherited_note *note)
{
    explicit_bzero((char *)note->bytes.data, note->bytes.size);
    free((char *)note->bytes.data);
    free((char *)note->name.data);
}

void inheritance_free(struct inheritance *inheritance)
{
    if (!inheritance)
        return;
    for (size_t i = 0; i < inheritance->count; i++) {
        close_item(&inheritance->items[i]);
        free((char *)inheritance->items[i].name.data);
    }
    for (size_t i = 0; i < inheritance->note_count; i++)
        free_note(&inheritance->notes[i]);
    free(inheritance->items);
    free(inheritance);
}

static bool is_listening(int descriptor)
{
    int listens = 0;
    socklen_t size = sizeof listens;
    return !getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) && listens;
}

/* What a socket is and where; false for all but those that wait for clients. */
static bool look_at(int descriptor, struct inherited *item)
{
    socklen_t size = sizeof item->type;
    item->address.size = sizeof item->address.local;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &item->type, &size) ||
        getsockname(descriptor, &item->address.any, &item->address.size))
        return false;
    return item->type == SOCK_DGRAM || (item->type == SOCK_STREAM && is_listening(descriptor));
}

static bool make_usual(int descriptor)
{
    return fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 &&
           fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0;
}

static bool make_room(struct inheritance *inheritance)
{
    if (inheritance->count < inheritance->capacity)
        return true;
    size_t capacity = 2 * inheritance->capacity + 8;
    struct inherited *items = realloc(inheritance->items, capacity * sizeof *items);
    if (!items)
        return false;
    inheritance->items = items;
    inheritance->capacity = capacity;
    return true;
}

static enum status add(struct inheritance *inheritance, struct slice name, struct inherited *item)
{
    char *copy = malloc(name.size + 1);
    if (!copy || !make_room(inheritance)) {
        free(copy);
        return NO_MEMORY;
    }
    if (name.size)
        memcpy(copy, name.data, name.size);
    item->name = slice_of(copy, name.size);
    inheritance->items[inheritance->count++] = *item;
    return OK;
}

enum status inheritance_add(
    struct inheritance *inheritance, struct slice name, bool is_managed, int descriptor)
{
    struct inherited item = {.descriptor = descriptor, .is_managed = is_managed};
    enum status e = look_at(descriptor, &item) && make_usual(descriptor) ? OK : INVALID;
    if (!e)
        e = add(inheritance, name, &item);
    if (e)
        close(descriptor);
    return e;
}

static size_t passed_count(void)
{
    uint64_t process, count;
    const char *pid = getenv("LISTEN_PID"), *descriptors = getenv("LISTEN_FDS");
    if (!slice_to_u64(slice_of_text(pid), &process) ||
        !slice_to_u64(slice_of_text(descriptors), &count) || process != (uint64_t)getpid())
        return 0;
    return (size_t)count;
}

enum status inheritance_add_passed(struct inheritance *inheritance)
{
    size_t count = passed_count();
    for (size_t i = 0; i < count; i++) {
        int passed = (int)(FIRST_PASSED_DESCRIPTOR + i);
        struct inherited item = {.descriptor = passed, .is_managed = true};
        if (!look_at(passed, &item) || !make_usual(passed))
            continue; /* not ours to close: whatever it is, it was passed for some reason */
        enum status e = add(inheritance, SLICE_NONE, &item);
        if (e)
            return e;
    }
    return OK;
}

static bool is_wanted(
    const struct inherited *item, const struct address *address, struct slice name)
{
    bool is_any_port = address->any.sa_family != AF_UNIX && address_port(address) == 0;
    if (is_any_port)
        return !item->is_taken && name.size && slice_equal(item->name, name);
    return address_equal(&item->address, address);
}

bool inheritance_take(struct inheritance *inheritance, int type, const struct address *address,
    struct slice name, struct inherited_socket *ret_socket)
{
    for (size_t i = 0; inheritance && i < inheritance->count; i++) {
        struct inherited *item = &inheritance->items[i];
        if (item->descriptor < 0 || item->type != type || !is_wanted(item, address, name))
            continue;
        int descriptor = item->descriptor;
        if (item->is_managed)
            descriptor = fcntl(item->descriptor, F_DUPFD_CLOEXEC, 3);
        else
            item->descriptor = -1;
        if (descriptor < 0)
            return false;
        item->is_taken = true;
        *ret_socket = (struct inherited_socket){descriptor, item->is_managed};
        return true;
    }
    return false;
}

void inheritance_close_rest(struct inheritance *inheritance)
{
    for (size_t i = 0; inheritance && i < inheritance->count; i++)
        if (!inheritance->items[i].is_managed)
            close_item(&inheritance->items[i]);
    if (inheritance)
        inheritance->is_settled = true;
}

bool inheritance_is_settled(const struct inheritance *inheritance)
{
    return inheritance->is_settled;
}

size_t inheritance_count(const struct inheritance *inheritance)
{
    return inheritance ? inheritance->count : 0;
}

const struct inherited *inheritance_at(const struct inheritance *inheritance, size_t index)
{
    return &inheritance->items[index];
}

void inheritance_mark_taken(struct inheritance *inheritance, size_t index)
{
    inheritance->items[index].is_taken = true;
}

const struct inherited *inheritance_find(
    const struct inheritance *inheritance, int type, const struct address *address)
{
    for (size_t i = 0; i < inheritance_count(inheritance); i++) {
        const struct inherited *item = &inheritance->items[i];
        if (item->type == type && address_equal(&item->address, address))
            return item;
    }
    return NULL;
}

static char *copy(struct slice s)
{
    char *data = malloc(s.size + 1);
    if (data && s.size)
        memcpy(data, s.data, s.size);
    return data;
}

enum status inheritance_note(struct inheritance *inheritance, struct slice name, struct slice bytes)
{
    char *name_copy = copy(name), *bytes_copy = copy(bytes);
    if (!name_copy || !bytes_copy || inheritance->note_count == NOTES_MAX) {
        free(name_copy);
        free(bytes_copy);
        return NO_MEMORY;
    }
    inheritance->notes[inheritance->note_count++] =
        (struct inherited_note){slice_of(name_copy, name.size), slice_of(bytes_copy, bytes.size)};
    return OK;
}

const struct inherited_note *inheritance_note_at(
    const struct inheritance *inheritance, size_t index)
{
    return inheritance && index < inheritance->note_count ? &inheritance->notes[index] : NULL;
}

struct slice inheritance_noted(const struct inheritance *inheritance, struct slice name)
{
    const struct inherited_note *note;
    for (size_t i = 0; (note = inheritance_note_at(inheritance, i)); i++)
        if (slice_equal(note->name, name))
            return note->bytes;
    return SLICE_NONE;
}
