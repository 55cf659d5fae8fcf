/* X-Request-Id: one name for a request in every log that it passes. */
#pragma once

#include "http/exchange.h"

/* Gives the exchange its id, and the request the field: the one that a trusted peer sent if it is 1
 * to 128 visible ASCII characters, else a new UUID (version 7, so that ids sort by time). After
 * forwarded_read and fields_strip_hop_by_hop. NO_MEMORY. */
enum status request_id_assign(struct exchange *x);
