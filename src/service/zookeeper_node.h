/* What a node of ZooKeeper says of an endpoint, in the forms that are in use:
 *
 *     {"address": "10.0.0.1", "port": 8080, "sslPort": 8443, "payload": {…}}    Apache Curator
 *     {"serviceEndpoint": {"host": …, "port": …}, "status": "ALIVE"}            Finagle's
 * serversets 10.0.0.1:8080                                                             as data, or
 * as name
 *     {"address": "10.0.0.1:8080", "weight": 2}                                 as in files
 */
#pragma once

#include "base/text.h"
#include "service/found.h"

struct zookeeper_reading {
    struct resolver *resolver; /* borrowed; for hosts that are names; NULL: these have no address */
    struct slice endpoint;     /* which of `additionalEndpoints`; empty: the serviceEndpoint */
    bool is_secure;            /* the sslPort is meant */
};

/* Adds what it says to the findings, whose slices may be in `data`. INVALID, NOT_FOUND (its host
 * has no address now), with what is wrong in `trouble`; NO_MEMORY, FULL, CANCELLED. */
enum status zookeeper_node_read(const struct zookeeper_reading *reading, struct slice name,
    struct slice data, struct findings *findings, struct text *trouble);
