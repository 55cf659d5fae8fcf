#include "l4/opening.h"

#define FIRST_ROOM ((size_t)2048) /* most hellos fit */

/* What a failure to read means; `bad` when some of it was there already. */
static enum status reason_of(enum status e, size_t have, enum status bad)
{
    if (e == TIMEOUT)
        return OPENING_TIMEOUT;
    if (e == CANCELLED || e == NO_MEMORY)
        return e;
    return have ? bad : CLIENT_CLOSED;
}

enum status opening_read_proxy_header(
    struct stream *stream, instant deadline, struct proxy_header *ret_header)
{
    char bytes[PROXY_HEADER_MAX];
    size_t have = 0, wanted = 0;
    enum status e;
    while ((e = proxy_header_parse(slice_of(bytes, have), ret_header, &wanted)) == INCOMPLETE) {
        size_t size = 0;
        e = stream_read(stream, bytes + have, wanted - have, deadline, &size);
        if (e)
            return reason_of(e, have, BAD_PROXY_HEADER);
        have += size;
    }
    return e ? BAD_PROXY_HEADER : OK;
}

static enum status read_more(struct stream *stream, instant deadline, struct text *early)
{
    size_t room = early->size ? CLIENT_HELLO_BYTES_MAX - early->size : FIRST_ROOM, size = 0;
    enum status e = stream_wait_readable(stream, deadline);
    if (!e && !text_reserve(early, room))
        e = NO_MEMORY;
    if (!e)
        e = stream_read(stream, early->data + early->size, room, deadline, &size);
    early->size += size;
    return e;
}

enum status opening_read_client_hello(
    struct stream *stream, instant deadline, struct text *early, struct client_hello *ret_hello)
{
    enum status e;
    while ((e = client_hello_parse(text_slice(early), ret_hello)) == INCOMPLETE) {
        e = read_more(stream, deadline, early);
        if (e)
            return reason_of(e, early->size, BAD_CLIENT_HELLO);
    }
    return e ? BAD_CLIENT_HELLO : OK;
}
