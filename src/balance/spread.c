#include "balance/spread.h"

/* Parts that stand together: one tier and region. */
struct level {
    struct spread_part *parts;
    uint32_t count, count_up;
    double weight, weight_up;
};

static struct level level_at(struct spread_part *parts, uint32_t count)
{
    struct level level = {.parts = parts};
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].tier != parts[0].tier || parts[i].region != parts[0].region)
            break;
        level.count++;
        level.count_up += parts[i].count_up;
        level.weight += parts[i].weight;
        level.weight_up += parts[i].weight_up;
    }
    return level;
}

/* What it can take of all requests. */
static double capacity_of(const struct level *level, const struct spread_rules *rules)
{
    if (level->weight_up <= 0)
        return 0;
    double part = level->weight_up / level->weight;
    return part >= rules->enough ? 1 : part / rules->enough;
}

static struct spread_part *own_zone_of(const struct level *level)
{
    for (uint32_t i = 0; i < level->count; i++)
        if (level->parts[i].is_own_zone)
            return &level->parts[i];
    return 0;
}

static void share_by_weight(struct level *level, double share)
{
    for (uint32_t i = 0; i < level->count; i++)
        level->parts[i].share = share * level->parts[i].weight_up / level->weight_up;
}

static bool is_preferred(
    const struct level *level, const struct spread_part *own, const struct spread_rules *rules)
{
    return own && own->weight_up > 0 && own->weight_up >= rules->zone_least * own->weight &&
           level->count_up >= rules->at_least;
}

static uint32_t count_zones_up(const struct level *level)
{
    uint32_t zones = 0;
    for (uint32_t i = 0; i < level->count; i++)
        zones += level->parts[i].weight_up > 0;
    return zones;
}

/* The share of the level's endpoints that a zone has beyond what comes in by the zone itself. */
static double room_of(const struct level *level, const struct spread_part *part, double arriving)
{
    double room = part->weight_up / level->weight_up - arriving;
    return part->is_own_zone || room < 0 ? 0 : room;
}

static void share_among_zones(struct level *level, double share, const struct spread_rules *rules)
{
    struct spread_part *own = own_zone_of(level);
    if (!is_preferred(level, own, rules)) {
        share_by_weight(level, share);
        return;
    }
    uint32_t zones = count_zones_up(level);
    double arriving = rules->own_share > 0 ? rules->own_share : 1.0 / zones;
    double elsewhere = zones > 1 ? (1 - arriving) / (zones - 1) : 0;
    double kept = own->weight_up / level->weight_up / arriving, room = 0;
    for (uint32_t i = 0; i < level->count; i++)
        room += room_of(level, &level->parts[i], elsewhere);
    if (kept > 1 || room <= 0)
        kept = 1;
    for (uint32_t i = 0; i < level->count; i++) {
        struct spread_part *part = &level->parts[i];
        part->share = part == own ? share * kept
                                  : share * (1 - kept) *
                                        (room > 0 ? room_of(level, part, elsewhere) / room : 0);
    }
}

void spread(struct spread_part *parts, uint32_t count, const struct spread_rules *rules)
{
    double left = 1, given = 0;
    for (uint32_t at = 0; at < count;) {
        struct level level = level_at(parts + at, count - at);
        double share = left * capacity_of(&level, rules);
        for (uint32_t i = 0; i < level.count; i++)
            level.parts[i].share = 0;
        if (share > 0)
            share_among_zones(&level, share, rules);
        left -= share;
        given += share;
        at += level.count;
    }
    for (uint32_t i = 0; given > 0 && i < count; i++)
        parts[i].share /= given;
}
