/* Entrances: what a connection knows of the listener by which it came in, and what holds for it
 * because of that.
 *
 * A worker keeps one for each listener that it ever watched, since connections go on when the
 * listener goes. */
#pragma once

#include "base/list.h"
#include "gateway/listen_options.h"

struct listener;

struct entrance {
    struct slice name; /* of the listener, for logs and metrics */
    bool is_tls;       /* a handshake comes before everything else */
    enum listen_kind kind;
};

/* The one of `entrances` for a listener, made when there is none yet; NULL without memory. A
 * listener that comes back has the same. */
const struct entrance *entrance_keep(struct list *entrances, const struct listener *listener);

void entrances_release(struct list *entrances);
