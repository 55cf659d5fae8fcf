/* Opening a connection to an endpoint, with TLS where the service speaks it. */
#pragma once

#include "run/tls.h"
#include "service/endpoint.h"

/* On a fiber. `first` is sent before all else, TLS included. `session` is the caller's newest with
 * this endpoint, or NULL. The UPSTREAM_… statuses of connecting, OVERLOADED (no descriptors),
 * NO_MEMORY, CANCELLED. What TLS failed for is noted at the endpoint. */
enum status connect_endpoint(struct endpoint *endpoint, const struct service_options *options,
    struct slice first, struct tls_session *session, instant deadline, struct stream **ret_stream);

/* How long it may take. */
struct connect_time {
    instant deadline;
    int64_t handshake; /* nanoseconds that TLS may take of that; 0: all of it */
};

/* The same for who holds no endpoint. `client` NULL: in clear. `name` is read before it waits. */
enum status connect_address(const struct address *address, struct tls_client *client,
    struct slice name, struct slice first, struct tls_session *session, struct connect_time time,
    struct stream **ret_stream, const char **ret_trouble);

/* Nothing has been sent yet: another endpoint may be asked. */
bool connect_is_failure(enum status e);

/* The status of a connection that ended: UPSTREAM_TLS_ALERT when the peer said why. */
enum status connect_status_of_end(const struct stream *stream);
