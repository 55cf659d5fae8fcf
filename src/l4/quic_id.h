/* The connection ids that QUIC shows in clear (RFC 8999, the properties of all versions), so that a
 * client whose address changes stays with its service. */
#pragma once

#include "base/slice.h"

#define QUIC_ID_MAX 20 /* bytes, of version 1; those of other versions may be longer */

struct quic_ids {
    bool is_long;      /* a long header; in a short one an id has no length of its own */
    struct slice to;   /* the destination's; of a short header all that may be it */
    struct slice from; /* the source's; of long headers only */
};

/* False when this is no packet of QUIC, as far as can be seen. The slices are of `datagram`. */
bool quic_ids_read(struct slice datagram, struct quic_ids *ret_ids);
