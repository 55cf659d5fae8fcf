#include "service/connect.h"

#include "run/loop.h"
#include "run/socket.h"
#include "service/service_tls.h"

#include <stdio.h>

static enum status status_of_connect(enum status e)
{
    if (e == REFUSED)
        return UPSTREAM_REFUSED;
    if (e == TIMEOUT)
        return UPSTREAM_CONNECT_TIMEOUT;
    if (e == UNREACHABLE || e == CLOSED)
        return UPSTREAM_UNREACHABLE;
    return e == IO_ERROR ? OVERLOADED : e; /* no descriptors, most likely */
}

static enum status status_of_handshake(enum status e)
{
    switch ((int)e) {
    case TLS_CERTIFICATE:
        return UPSTREAM_TLS_CERTIFICATE;
    case TLS_ALERT:
        return UPSTREAM_TLS_ALERT;
    case TIMEOUT:
        return UPSTREAM_CONNECT_TIMEOUT;
    case CANCELLED:
    case NO_MEMORY:
        return e;
    default:
        return UPSTREAM_TLS_PROTOCOL;
    }
}

/* Puts TLS on a connection, which is the new stream's or closed. */
static enum status begin_tls(struct stream *below, struct tls_client *client, const char *name,
    struct tls_session *session, instant deadline, struct stream **ret_stream,
    const char **ret_trouble)
{
    struct stream *stream;
    enum status e = tls_connect(below, client, slice_of_text(name), session, &stream);
    if (e) {
        stream_close(below);
        return e == NO_MEMORY ? e : UPSTREAM_TLS_PROTOCOL;
    }
    e = tls_handshake(stream, deadline);
    if (e) {
        *ret_trouble = e == CLOSED ? "the connection was closed" : tls_trouble(stream);
        stream_close(stream);
        return status_of_handshake(e);
    }
    *ret_stream = stream;
    return OK;
}

/* The same, in its own time. */
static enum status handshake_within(struct stream *below, struct tls_client *client,
    const char *name, struct tls_session *session, struct connect_time time,
    struct stream **ret_stream, const char **ret_trouble)
{
    instant until = time.handshake ? clock_after(loop_now(), time.handshake) : NEVER;
    enum status e = begin_tls(
        below, client, name, session, clock_sooner(time.deadline, until), ret_stream, ret_trouble);
    return e == UPSTREAM_CONNECT_TIMEOUT && until < time.deadline ? UPSTREAM_TLS_TIMEOUT : e;
}

/* A connection on which `first` has been sent. */
static enum status connect_and_say(
    const struct address *address, struct slice first, instant deadline, struct stream **ret_stream)
{
    struct stream *stream;
    enum status e = socket_connect(address, NULL, deadline, &stream);
    if (!e && first.size) {
        e = stream_write(stream, first.data, first.size, deadline, NULL);
        if (e)
            stream_close(stream);
    }
    if (!e)
        *ret_stream = stream;
    return status_of_connect(e);
}

enum status connect_address(const struct address *address, struct tls_client *client,
    struct slice name, struct slice first, struct tls_session *session, struct connect_time time,
    struct stream **ret_stream, const char **ret_trouble)
{
    char name_text[256];
    struct stream *stream;
    snprintf(name_text, sizeof name_text, "%.*s", SLICE_ARG(name));
    enum status e = connect_and_say(address, first, time.deadline, &stream);
    if (!e && client)
        return handshake_within(stream, client, name_text, session, time, ret_stream, ret_trouble);
    if (!e)
        *ret_stream = stream;
    return e;
}

enum status connect_endpoint(struct endpoint *endpoint, const struct service_options *options,
    struct slice first, struct tls_session *session, instant deadline, struct stream **ret_stream)
{
    const char *trouble = "";
    char text[96];
    enum status e =
        connect_address(endpoint->address, service_tls_client(options), endpoint->tls_name, first,
            session, (struct connect_time){deadline, options->timeout.tls}, ret_stream, &trouble);
    if (*trouble) {
        snprintf(text, sizeof text, "no TLS: %s", trouble);
        endpoint_note_once(endpoint, text);
    }
    return e;
}

bool connect_is_failure(enum status e)
{
    return e == UPSTREAM_REFUSED || e == UPSTREAM_UNREACHABLE || e == UPSTREAM_CONNECT_TIMEOUT ||
           e == UPSTREAM_TLS_TIMEOUT || e == UPSTREAM_TLS_CERTIFICATE ||
           e == UPSTREAM_TLS_PROTOCOL || e == UPSTREAM_TLS_ALERT;
}

enum status connect_status_of_end(const struct stream *stream)
{
    return tls_alert(stream) >= 0 ? UPSTREAM_TLS_ALERT : UPSTREAM_CLOSED;
}
