/*
 * One connection of HTTP/2 over a socket, for the programs that play gRPC's two ends: bytes go
 * between nghttp2 and the socket, with one recv and one send for all frames of a moment.
 */
#pragma once

#include "net.h"

#include <nghttp2/nghttp2.h>

enum { H2_BLOCK = 64 << 10 };

struct h2_link {
    int fd;
    nghttp2_session *session; /* owned */
    char *out;                /* owned: frames that are made and not sent */
    size_t length, capacity;
};

static inline nghttp2_nv h2_field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
        strlen(value), NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static inline void h2_put(struct h2_link *link, const void *bytes, size_t length)
{
    if (link->capacity - link->length < length) {
        link->capacity = 2 * (link->capacity + length);
        link->out = realloc(link->out, link->capacity);
        if (link->out == NULL)
            die("realloc");
    }
    memcpy(link->out + link->length, bytes, length);
    link->length += length;
}

/* Makes all frames that are due and sends what the socket takes. False: the connection is broken.
 */
static inline bool h2_flush(struct h2_link *link)
{
    const uint8_t *frame;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(link->session, &frame)) > 0)
        h2_put(link, frame, (size_t)size);
    if (size < 0 || link->length == 0)
        return size == 0;
    ssize_t sent = send(link->fd, link->out, link->length, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    link->length -= (size_t)sent;
    memmove(link->out, link->out + sent, link->length);
    return true;
}

/* Reads all that is there, by way of a block of H2_BLOCK bytes, and sends what there is to say to
 * it. False: the connection has ended. */
static inline bool h2_drive(struct h2_link *link, uint8_t *block)
{
    ssize_t got;
    do {
        got = recv(link->fd, block, H2_BLOCK, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return false;
        if (got > 0 && nghttp2_session_mem_recv(link->session, block, (size_t)got) < 0)
            return false;
    } while (got == H2_BLOCK);
    return h2_flush(link);
}

static inline void h2_close(struct h2_link *link)
{
    nghttp2_session_del(link->session);
    close(link->fd);
    free(link->out);
}
