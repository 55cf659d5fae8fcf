/* The bounds of HTTP/2 with clients: `http: {http2: …}`. */
#pragma once

#include "config/option.h"

/* What a client can do at little cost to itself and, without bounds, at much to the gateway. */
enum h2_flood {
    H2_RESETS,       /* streams that end by reset: by the client, or because of what it sent */
    H2_SETTINGS,     /* SETTINGS frames */
    H2_PINGS,        /* PING frames */
    H2_EMPTY_FRAMES, /* frames that carry nothing: DATA without bytes, unknown ones */
    H2_UPDATES,      /* WINDOW_UPDATE frames beyond the frames that were sent to the client */
    H2_PRIORITIES,   /* PRIORITY and PRIORITY_UPDATE frames */
    H2_LARGE_HEADS,  /* header sections beyond what they may be, such as HPACK makes of few bytes */
    H2_STALLS,       /* answers of which nothing was taken for as long as `body-timeout` */
    H2_RATES,        /* those above are bound by a rate ... */
    H2_CONTINUATIONS = H2_RATES, /* ... these not: CONTINUATION frames of one header section */
    H2_SLOW_HEADS,               /* a header section that took longer than `head-timeout` */
    H2_FLOOD_COUNT
};

struct http2_options {
    int64_t streams_max;       /* requests under way at once on a connection */
    int64_t stream_window;     /* bytes of one body that wait to be read by its consumer, at most */
    int64_t connection_window; /* of all bodies of a connection */
    int64_t continuations_max;
    int64_t decoded_max; /* bytes of a header section, beyond any that is meant well */
    struct rate rates[H2_RATES];
};

extern const struct option_table http2_table;

/* As metrics name it: "resets". */
struct slice h2_flood_name(enum h2_flood flood);
