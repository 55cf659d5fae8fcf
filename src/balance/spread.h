/* How requests are spread over the groups of a service: tiers, then regions, then zones.
 *
 * Tiers come before each other: the first takes everything while enough of it is up, then a part in
 * proportion; what it cannot take goes to the next. Within a tier the own region comes before the
 * others in the same way. Within the own region the own zone is preferred: it takes all while its
 * share of the endpoints is at least its share of the requests; else as much as keeps each endpoint
 * as busy as the others, and the rest goes to the zones that have room, in proportion to that room.
 * A zone most of which is down is not preferred. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct spread_rules {
    double enough;     /* the part of a level that must be up for it to take all; 0: any */
    double own_share;  /* of all requests that come into the region, what comes in by the own zone;
                          0: as much as by each other zone */
    double zone_least; /* the part of the own zone that must be up for it to be preferred */
    uint32_t at_least; /* endpoints that must be up in the region for zones to count */
};

/* A group, as far as this is concerned. They come in order: by tier, then by region, the own one
 * first. */
struct spread_part {
    uint32_t tier, region; /* region: 0 is the own one */
    bool is_own_zone;
    double weight, weight_up; /* of all its endpoints, and of those that are up */
    uint32_t count_up;
    double share; /* the result: 0 to 1, together 1; all 0 when nothing is up */
};

void spread(struct spread_part *parts, uint32_t count, const struct spread_rules *rules);
