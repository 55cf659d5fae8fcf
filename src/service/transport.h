/* Transports: what carries one try to an endpoint and the answer back, be it a connection of its
 * own (HTTP/1.1) or a stream among others (HTTP/2). call.c chooses one with the connection;
 * upload.c and answer.c drive it and do not know which it is.
 *
 * To add one: a file with such a table, and where call.c acquires connections. */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/status.h"

struct body;
struct call;

struct transport {
    /* Before a try: makes ready what will be sent. NO_MEMORY, TOO_LARGE. NULL: nothing to do. */
    enum status (*prepare)(struct call *call);

    /* Sends the head alone, since the body is to wait for "100 Continue". As the next. */
    enum status (*send_head)(struct call *call);

    /* Sends the head, unless that is gone, and the body. TIMEOUT, CANCELLED, NO_MEMORY, or what
     * reading the body gave, which `*ret_source_failed` says; any other failure: the endpoint takes
     * no more, but may have answered. */
    enum status (*send)(struct call *call, struct body *body, bool *ret_source_failed);

    /* Reads one head, final or interim, into call->response, and what it says of its body into
     * call->framing. Statuses of h1_read_response, and UPSTREAM_… of their own. */
    enum status (*read_head)(struct call *call, instant deadline);

    /* The body behind the final head; lives as long as the call. Its read fails as that of an
     * h1_body. */
    struct body *(*body)(struct call *call);

    /* After `e` came instead of an answer: true when the same request may be sent to the same
     * endpoint on another connection, since this one was tired and the endpoint has not seen it, or
     * may see it twice. The transport may also see to its connection. */
    bool (*may_repeat)(const struct call *call, enum status e);

    /* Gives up what carries the call; for others to use when it `can_go_on`. */
    void (*finish)(struct call *call, bool can_go_on);
};

extern const struct transport transport_h1;
extern const struct transport transport_h2;
