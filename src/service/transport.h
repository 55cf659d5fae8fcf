/* Transports: what carries one try to an endpoint and the answer back, be it a connection of its
 * own (HTTP/1.1) or a stream among others (HTTP/2). attempt.c chooses one with the connection;
 * upload.c and answer.c drive it and do not know which it is.
 *
 * To add one: a file with such a table, and where attempt.c acquires connections. */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/status.h"

struct body;
struct attempt;

struct transport {
    /* Before a try: makes ready what will be sent. NO_MEMORY, TOO_LARGE. NULL: nothing to do. */
    enum status (*prepare)(struct attempt *attempt);

    /* Sends the head alone, since the body is to wait for "100 Continue". As the next. */
    enum status (*send_head)(struct attempt *attempt);

    /* Sends the head, unless that is gone, and the body. TIMEOUT, CANCELLED, NO_MEMORY, or what
     * reading the body gave, which `*ret_source_failed` says; any other failure: the endpoint takes
     * no more, but may have answered. */
    enum status (*send)(struct attempt *attempt, struct body *body, bool *ret_source_failed);

    /* The memory of a body that is whole goes now, and not all of it may have left. NO_MEMORY.
     * NULL: it always has. */
    enum status (*keep_unsent)(struct attempt *attempt);

    /* Reads one head, final or interim, into attempt->response, and what it says of its body into
     * attempt->framing. Statuses of h1_read_response, and UPSTREAM_… of their own. */
    enum status (*read_head)(struct attempt *attempt, instant deadline);

    /* The body behind the final head; lives as long as the call. Asked of one
     * attempt of a call. Its read fails as that of an
     * h1_body. */
    struct body *(*body)(struct attempt *attempt);

    /* After `e` came instead of an answer: true when the connection was tired of being used again,
     * which is nobody's fault, and the endpoint has not seen the request, or may see it twice. So
     * it may be sent there once more on another connection. The transport may also see to its
     * connection. */
    bool (*was_tired)(const struct attempt *attempt, enum status e);

    /* After `e` came instead of an answer on a connection: true when the endpoint has surely not
     * begun with the request. */
    bool (*is_unseen)(const struct attempt *attempt, enum status e);

    /* Gives up what carries the attempt; for others to use when it `can_go_on`. */
    void (*finish)(struct attempt *attempt, bool can_go_on);
};

extern const struct transport transport_h1;
extern const struct transport transport_h2;
