/* Entrances: what a connection knows of the listener by which it came in, and what holds for it
 * because of that.
 *
 * A worker keeps one for each listener that it ever watched, since connections go on when the
 * listener goes. What a reload may change is changed in place, on the worker's own thread. */
#pragma once

#include "base/list.h"
#include "gateway/listen_options.h"

struct listener;

#define HSTS_MAX 64 /* bytes of a Strict-Transport-Security value */

struct entrance {
    enum listen_kind kind;
    struct slice name;      /* of the listener, for logs and metrics */
    bool is_tls;            /* a handshake comes before everything else */
    bool proxy_protocol;    /* a PROXY header comes before that */
    bool http2;             /* plain, and clients may begin with HTTP/2 */
    bool is_proxy;          /* its clients may be taken to foreign hosts */
    bool redirects;         /* plain HTTP, and clients are to come back by HTTPS ... */
    uint16_t redirect_port; /* ... here; 0: where the first HTTPS listener is */
    uint8_t hsts_size;
    char hsts[HSTS_MAX]; /* what answers say in Strict-Transport-Security */
};

/* The one of `entrances` for a listener, made when there is none yet; NULL without memory. A
 * listener that comes back has the same. */
const struct entrance *entrance_keep(struct list *entrances, const struct listener *listener);

/* A new configuration holds. Those whose listener it does not have stay as they are. */
void entrances_update(struct list *entrances, const struct listen_options *options);

void entrances_release(struct list *entrances);
