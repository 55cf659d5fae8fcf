/* Source texts and places in them, so that every complaint can point. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

struct source {
    struct slice name; /* the file's name as the user gave it, or "<text>" */
    struct slice text;
};

/* A place: line and column count from 1; a column counts characters (UTF-8), not bytes. Line 0:
 * nowhere in particular. */
struct place {
    const struct source *source; /* borrowed; NULL: nowhere */
    uint32_t line, column;
    uint32_t length; /* characters to underline, at least 1 */
};

/* Reads a whole file into the arena. NOT_FOUND, TOO_LARGE (over `limit` bytes), IO_ERROR,
 * NO_MEMORY. */
enum status source_read(
    struct arena *arena, struct slice path, size_t limit, const struct source **ret_source);

/* A path as the file that names it means it: a relative one is below that file's folder. Ends with
 * a NUL that is not counted; null data without memory. */
struct slice source_path(struct arena *arena, const struct source *source, struct slice path);

/* What a file is like, as a number: another one when it was written or replaced, or came or went.
 * The path ends with a NUL that is not counted; empty: there is none. */
uint64_t source_stamp(struct slice path);

/* The text of a line (from 1), without its end; empty when there is none. */
struct slice source_line(const struct source *source, uint32_t line);

/* The line of a place from its column on, without the line's end; empty when there is none. */
struct slice source_from(const struct place *place);
