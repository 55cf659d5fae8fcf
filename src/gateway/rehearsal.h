/* Rehearsals: a request goes through a snapshot's routing, policies and handler as a real one
 * would, but services are only named, not called. `weir test` and `weir explain` are made of it. On
 * any fiber; no network. */
#pragma once

#include "gateway/snapshot.h"

struct rehearsal_field {
    struct slice name, value;
};

struct rehearsal_request {
    struct slice method; /* "GET" */
    struct slice host;   /* "shop.example"; may be empty */
    struct slice target; /* "/path?query" */
    const struct rehearsal_field *fields;
    size_t field_count;
    struct slice client; /* an address, or empty: 127.0.0.1 */
    bool is_secure;
    const struct supposed_tls *tls;  /* what TLS is to have said; NULL: nothing */
    const struct json_value *claims; /* what its token is to say; NULL: none is supposed */
};

struct rehearsal {
    struct exchange x;         /* with the answer's head */
    const struct route *route; /* NULL: none */
    enum status result;        /* OK, or why the gateway would refuse */
    struct body_slice no_body;
};

/* Fills `rehearsal`; release it afterwards. INVALID when the request itself makes no sense. */
enum status rehearse(const struct snapshot *snapshot, const struct rehearsal_request *request,
    struct rehearsal *rehearsal);
void rehearsal_release(struct rehearsal *rehearsal);
