/* Redis Cluster: keys lie in 16384 slots, and each slot on one of several masters. For this floor
 * alone.
 *
 * A worker has, besides its connection to any of the nodes, one to each master that it was sent to.
 * Where a slot is, it learns from those whom it asks wrongly (MOVED), and then from a map of all
 * slots that it asks for, so that each question soon costs one round trip. While a slot moves,
 * single questions are sent on (ASK). When a master fails, its questions fail, and the map is asked
 * for until another master has its slots. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

#define REDIS_SLOTS     16384
#define REDIS_NODES_MAX 256
#define REDIS_HOST_MAX  ((size_t)255)

/* The slot of a key, by what stands in its first {braces} if there are any. */
unsigned redis_slot_of(struct slice key);

/* Where an error sends us. */
struct redis_redirect {
    bool is_ask; /* this once, with ASKING; else for good */
    unsigned slot;
    struct slice host; /* in what was read */
    uint16_t port;
};

/* "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381". INVALID when it is neither. */
enum status redis_redirect_read(struct slice error, struct redis_redirect *ret_redirect);

/* Slots of one master. */
struct redis_range {
    unsigned first, last;
    struct slice host; /* in what was read; empty: it is not known */
    uint16_t port;
};

/* Reads what CLUSTER SLOTS is answered with, range by range. The first call is with the whole
 * reply; END behind the last. INVALID. */
struct redis_map_reader {
    struct slice rest;
    int64_t left; /* ranges */
};
enum status redis_map_begin(struct slice reply, struct redis_map_reader *ret_reader);
enum status redis_map_next(struct redis_map_reader *reader, struct redis_range *ret_range);
