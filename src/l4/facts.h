/* What a connection or UDP session has been: what its log line and its metrics say. */
#pragma once

#include "base/clock.h"
#include "base/status.h"
#include "run/address.h"

enum l4_transport { L4_TCP, L4_UDP };

struct l4_facts {
    enum l4_transport transport;
    struct slice listener, service, endpoint; /* until `finish` has returned, as the next */
    struct slice server_name, protocol;       /* that the client's TLS asks for; or empty */
    struct address client;
    enum status reason;   /* why it ended other than by its ends; OK: by them */
    enum status replaced; /* why another service stood in (a fallback); OK: none did */
    instant started, ended;
    int64_t connect_time;    /* nanoseconds until an endpoint was there, all tries; 0: none was */
    uint64_t received, sent; /* bytes from and to the client */
    uint64_t received_datagrams, sent_datagrams;
    uint32_t tries; /* endpoints that were asked */
};
