/* A stream without a peer, for tests and fuzz targets: it yields given bytes in pieces, and keeps
 * what is written. It never waits; where a socket would, it fails with TIMEOUT. */
#pragma once

#include "base/text.h"
#include "run/stream.h"

struct script {
    struct stream stream;
    struct slice input; /* borrowed; not read yet */
    size_t piece;       /* bytes a read yields at most; 0: all there is room for */
    enum status end;    /* what reading says behind the input */
    struct text output; /* owned; everything that was written */
    size_t room;        /* bytes a write takes before it fails with `full` */
    enum status full;
    unsigned reads, writes, waits;
    int parts; /* of the last write */
    bool is_closed;
};

static inline enum status script_wait(struct stream *stream, instant deadline)
{
    struct script *script = (struct script *)stream;
    (void)deadline;
    script->waits++;
    return script->input.size || script->end != TIMEOUT ? OK : TIMEOUT;
}

static inline enum status script_read(
    struct stream *stream, void *data, size_t capacity, instant deadline, size_t *ret_size)
{
    struct script *script = (struct script *)stream;
    (void)deadline;
    script->reads++;
    if (script->input.size == 0)
        return script->end;
    size_t size = script->input.size < capacity ? script->input.size : capacity;
    if (script->piece && size > script->piece)
        size = script->piece;
    memcpy(data, script->input.data, size);
    script->input = slice_from(script->input, size);
    *ret_size = size;
    return OK;
}

static inline enum status script_writev(
    struct stream *stream, const struct iovec *parts, int count, instant deadline, size_t *ret_size)
{
    struct script *script = (struct script *)stream;
    size_t taken = 0;
    (void)deadline;
    script->writes++;
    script->parts = count;
    for (int i = 0; i < count; i++) {
        struct slice part =
            slice_head(slice_of(parts[i].iov_base, parts[i].iov_len), script->room - taken);
        text_add(&script->output, part);
        taken += part.size;
        if (part.size < parts[i].iov_len) {
            if (ret_size)
                *ret_size = taken;
            return script->full;
        }
    }
    if (ret_size)
        *ret_size = taken;
    return OK;
}

static inline void script_close(struct stream *stream)
{
    ((struct script *)stream)->is_closed = true;
}

static inline void script_init(struct script *script, struct slice input, size_t piece)
{
    static const struct stream_ops ops = {.wait_readable = script_wait,
        .read = script_read,
        .writev = script_writev,
        .close = script_close};
    *script = (struct script){.stream = {&ops},
        .input = input,
        .piece = piece,
        .end = END,
        .output = text_growing(0),
        .room = SIZE_MAX,
        .full = CLOSED};
}

static inline void script_release(struct script *script)
{
    text_release(&script->output);
}
