#include "run/stream.h"

enum status stream_write(
    struct stream *stream, const void *data, size_t size, instant deadline, size_t *ret_size)
{
    struct iovec part = {(void *)data, size};
    return stream_writev(stream, &part, 1, deadline, ret_size);
}

void stream_close(struct stream *stream)
{
    if (stream)
        stream->ops->close(stream);
}

void stream_break_off(struct stream *stream)
{
    if (stream)
        stream->ops->break_off(stream);
}
