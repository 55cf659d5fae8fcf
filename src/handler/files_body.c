#include "handler/files_body.h"

#include <errno.h>
#include <unistd.h>

#include "run/buffer.h"

struct file_body {
    struct body body;
    int fd;                          /* owned until it is dropped */
    struct buffer *buffer;           /* owned; NULL before the first read */
    const struct file_piece *pieces; /* in the arena */
    unsigned count, at;              /* which piece is read now */
    int64_t done;                    /* bytes of it that were handed out */
    struct slice ready;              /* read from the file already, but not handed out */
    enum status failure;
};

/* Reads on in the file. It may have become shorter since its length was said: then the answer
 * breaks off. */
static enum status read_file(
    struct file_body *file, const struct file_piece *piece, struct slice *ret_bytes)
{
    if (!file->buffer)
        file->buffer = buffer_take();
    if (!file->buffer)
        return NO_MEMORY;
    int64_t left = piece->size - file->done;
    size_t want = left < (int64_t)file->buffer->capacity ? (size_t)left : file->buffer->capacity;
    ssize_t got;
    do
        got = pread(file->fd, file->buffer->data, want, piece->offset + file->done);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return IO_ERROR;
    *ret_bytes = slice_of(file->buffer->data, (size_t)got);
    return OK;
}

/* Makes the next bytes ready; none at the end. */
static enum status fill(struct file_body *file)
{
    while (file->ready.size == 0 && file->at < file->count && !file->failure) {
        const struct file_piece *piece = &file->pieces[file->at];
        if (file->done == piece->size) {
            file->at++;
            file->done = 0;
        } else if (piece->text.data) {
            file->ready = slice_from(piece->text, (size_t)file->done);
        } else {
            file->failure = read_file(file, piece, &file->ready);
        }
    }
    return file->failure;
}

static enum status read_body(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct file_body *file = (struct file_body *)body;
    (void)deadline;
    enum status e = fill(file);
    if (e)
        return e;
    if (file->ready.size == 0)
        return END;
    *ret_bytes = file->ready;
    file->done += (int64_t)file->ready.size;
    file->ready = SLICE_NONE;
    return OK;
}

static struct slice peek_body(struct body *body, bool *ret_last)
{
    struct file_body *file = (struct file_body *)body;
    *ret_last = false;
    if (fill(file))
        return SLICE_NONE;
    *ret_last = file->at >= file->count ||
                (file->at == file->count - 1 &&
                    file->done + (int64_t)file->ready.size == file->pieces[file->at].size);
    return file->ready;
}

static void drop_body(struct body *body)
{
    struct file_body *file = (struct file_body *)body;
    buffer_give(file->buffer);
    close(file->fd);
}

enum status file_body_new(struct arena *arena, int fd, const struct file_piece *pieces,
    unsigned count, struct body **ret_body)
{
    static const struct body_ops ops = {.read = read_body, .peek = peek_body, .drop = drop_body};
    struct file_body *file = arena_new(arena, struct file_body);
    if (!file)
        return NO_MEMORY;
    file->body.ops = &ops;
    for (unsigned i = 0; i < count; i++)
        file->body.length += pieces[i].size;
    file->fd = fd;
    file->pieces = pieces;
    file->count = count;
    *ret_body = &file->body;
    return OK;
}
