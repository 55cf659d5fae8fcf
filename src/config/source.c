#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"

#define READ_SIZE 65536

static const struct slice byte_order_mark = SLICE_INIT("\xef\xbb\xbf");

static enum status open_file(struct slice path, int *ret_file)
{
    struct text name = text_growing(0);
    text_add(&name, path);
    text_add_char(&name, '\0');
    int file = name.failed ? -1 : open(name.data, O_RDONLY | O_CLOEXEC);
    int problem = name.failed ? ENOMEM : errno;
    text_release(&name);
    if (file < 0)
        return problem == ENOENT || problem == ENOTDIR ? NOT_FOUND
               : problem == ENOMEM                     ? NO_MEMORY
                                                       : IO_ERROR;
    *ret_file = file;
    return OK;
}

/* One byte more than the limit may be taken, and shows that the file is too large. */
static enum status read_all(int file, size_t limit, struct text *text)
{
    for (;;) {
        size_t room = limit + 1 - text->size;
        size_t size = room < READ_SIZE ? room : READ_SIZE;
        if (size == 0)
            return TOO_LARGE;
        if (!text_reserve(text, size))
            return NO_MEMORY;
        ssize_t got = read(file, text->data + text->size, size);
        if (got == 0)
            return OK;
        if (got > 0)
            text->size += (size_t)got;
        else if (errno != EINTR)
            return IO_ERROR;
    }
}

enum status source_read(
    struct arena *arena, struct slice path, size_t limit, const struct source **ret_source)
{
    int file;
    enum status e = open_file(path, &file);
    if (e)
        return e;
    struct text text = text_growing(limit + 1);
    e = read_all(file, limit, &text);
    close(file);
    if (!e) {
        struct source *source = arena_new(arena, struct source);
        struct slice name = arena_copy(arena, path), copy = arena_copy(arena, text_slice(&text));
        e = source && name.data && copy.data ? OK : NO_MEMORY;
        if (!e) {
            *source = (struct source){name, copy};
            *ret_source = source;
        }
    }
    text_release(&text);
    return e;
}

struct slice source_path(struct arena *arena, const struct source *source, struct slice path)
{
    struct slice folder = source ? source->name : SLICE_NONE;
    while (folder.size && folder.data[folder.size - 1] != '/')
        folder.size--;
    if (slice_has_prefix(path, SLICE("/")))
        folder = SLICE_NONE;
    struct slice joined =
        arena_join(arena, (const struct slice[]){folder, path, SLICE_INIT("\0")}, 3);
    return slice_head(joined, folder.size + path.size);
}

uint64_t source_stamp(struct slice path)
{
    struct stat s;
    if (path.size == 0 || stat(path.data, &s))
        return hash_bytes(SLICE("none"));
    const int64_t facts[] = {(int64_t)s.st_dev, (int64_t)s.st_ino, s.st_size, s.st_mtim.tv_sec,
        s.st_mtim.tv_nsec, (int64_t)s.st_mode};
    return hash_bytes(slice_of((const char *)facts, sizeof facts));
}

struct slice source_line(const struct source *source, uint32_t line)
{
    struct slice rest = source->text;
    if (slice_has_prefix(rest, byte_order_mark))
        rest = slice_from(rest, byte_order_mark.size);
    for (uint32_t i = 1; i < line && rest.size; i++)
        rest = slice_from(rest, slice_find(rest, '\n') + 1);
    if (line == 0 || rest.size == 0)
        return SLICE_NONE;
    struct slice text = slice_head(rest, slice_find(rest, '\n'));
    if (text.size && text.data[text.size - 1] == '\r')
        text.size--;
    return text;
}

struct slice source_from(const struct place *place)
{
    struct slice line = place->source ? source_line(place->source, place->line) : SLICE_NONE;
    uint32_t column = place->column;
    size_t i = 0;
    for (; i < line.size; i++)
        if (((unsigned char)line.data[i] & 0xc0) != 0x80 && --column == 0)
            break;
    return slice_from(line, i);
}
