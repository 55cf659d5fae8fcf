/* What is counted of layer 4. */
#pragma once

#include "l4/facts.h"
#include "l4/rules.h"

/* The series of a listener and service; `target` has its service's name. */
void l4_target_register(struct l4_target *target, struct metrics *metrics,
    enum l4_transport transport, struct slice listener);

/* The gauge of connections or sessions of a listener that are open. */
uint32_t l4_open_series(
    struct metrics *metrics, enum l4_transport transport, struct slice listener);

/* The counter of datagrams of a UDP listener that went nowhere. */
uint32_t l4_dropped_series(struct metrics *metrics, struct slice listener);

/* One has ended. Bytes and datagrams were counted while they moved. */
void l4_count(struct metrics *metrics, struct metrics_shard *shard, const struct l4_target *target,
    const struct l4_facts *facts);
