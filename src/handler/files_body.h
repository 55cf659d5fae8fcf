/* A body made of pieces of one file, and texts between them: a whole file, a range of one, or
 * several as multipart/byteranges.
 *
 * It holds a descriptor, and a buffer from its first read until it is dropped. Reading goes to the
 * disk, or its cache, in the worker's own thread. */
#pragma once

#include "http/body.h"

struct file_piece {
    struct slice text; /* a text: in the exchange's arena; null data: a piece of the file */
    int64_t offset, size;
};

/* Takes over `fd` when it is OK. The pieces must live as long as the arena. NO_MEMORY. */
enum status file_body_new(struct arena *arena, int fd, const struct file_piece *pieces,
    unsigned count, struct body **ret_body);
