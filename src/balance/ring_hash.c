/* Consistent hashing on a ring (Karger et al. 1997): each endpoint has many points on a circle of
 * hashes, in proportion to its weight; a key belongs to the next point. When an endpoint comes or
 * goes, only the keys at its points move.
 *
 * The points lie in order in an array. Since they are spread evenly, an index of as many cells as
 * there are points says where each part of the circle begins, and the next point is found in one or
 * two steps; sorting goes by the same cells. */
#include "balance/hashed.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BITS  10
#define POINTS_MOST 0x1p20 /* unless the settings say: beyond, each weight gets fewer */

struct point {
    uint64_t hash;
    uint32_t index;
};

struct ring {
    uint32_t count, shift;
    uint32_t *cells; /* owned: for the upper bits of a hash, the first point that has them */
    struct point points[];
};

/* Points for a weight of 1: the same however many endpoints there are, so that those who stay keep
 * theirs. */
static double points_per_weight(const struct group *group, double weight)
{
    double points = (double)group->settings->points;
    double most = group->settings->most ? (double)group->settings->most : POINTS_MOST;
    if (points * weight > most)
        points = most / weight;
    return points;
}

static uint32_t points_of(const struct candidate *candidate, double per_weight)
{
    double points = candidate->weight * per_weight;
    if (candidate->weight <= 0)
        return 0;
    return points < 1 ? 1 : (uint32_t)(points + 0.5);
}

static uint64_t point_hash(const struct candidate *candidate, uint32_t number)
{
    return mix(candidate->id + number * 0x9e3779b97f4a7c15u);
}

static uint32_t count_points(const struct group *group, double per_weight)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < group->count; i++)
        count += points_of(&group->candidates[i], per_weight);
    return count;
}

/* Who has the same point twice gives it to the smaller id, so that every gateway has the same ring.
 */
static bool is_before(const struct group *group, const struct point *a, const struct point *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash;
    return group->candidates[a->index].id < group->candidates[b->index].id;
}

/* --- building: first in order of blocks alone, which are so few that where each goes on stays in
 * the nearest cache; then each block by itself, which does so as a whole */

struct blocks {
    uint32_t bits; /* of a hash, that say its block: no more than say its cell */
    uint32_t begins[(1u << BLOCK_BITS) + 1];
    struct point *room; /* owned: for the largest */
};

static uint32_t block_of(const struct blocks *blocks, uint64_t hash)
{
    return (uint32_t)(hash >> (64 - blocks->bits));
}

/* begins[b + 1] is first how many points are in block b, then where the next of it goes, and in the
 * end where it ends. The largest block's size. */
static uint32_t scatter(
    struct ring *ring, const struct group *group, double per_weight, struct blocks *blocks)
{
    uint32_t sum = 0, most = 0, *next = blocks->begins + 1;
    for (uint32_t i = 0; i < group->count; i++)
        for (uint32_t n = points_of(&group->candidates[i], per_weight); n-- > 0;)
            next[block_of(blocks, point_hash(&group->candidates[i], n))]++;
    for (uint32_t b = 0; b < 1u << blocks->bits; b++) {
        uint32_t here = next[b];
        most = here > most ? here : most;
        next[b] = sum;
        sum += here;
    }
    for (uint32_t i = 0; i < group->count; i++)
        for (uint32_t n = points_of(&group->candidates[i], per_weight); n-- > 0;) {
            struct point point = {point_hash(&group->candidates[i], n), i};
            ring->points[next[block_of(blocks, point.hash)]++] = point;
        }
    return most;
}

/* Into the cell of its upper bits, in order there: each holds one point on average. What lies
 * before the cell is smaller, or still zero. */
static void insert(struct ring *ring, const struct group *group, struct point point)
{
    uint32_t at = ring->cells[(point.hash >> ring->shift) + 1]++;
    for (; at > 0 && is_before(group, &point, &ring->points[at - 1]); at--)
        ring->points[at] = ring->points[at - 1];
    ring->points[at] = point;
}

/* Counting sort: cells[c + 1] is used as begins[b + 1] is. */
static void sort_block(
    struct ring *ring, const struct group *group, const struct blocks *blocks, uint32_t block)
{
    uint32_t cell_bits = 64 - ring->shift - blocks->bits, sum = blocks->begins[block];
    uint32_t count = blocks->begins[block + 1] - sum;
    uint32_t *next = ring->cells + 1 + ((size_t)block << cell_bits);
    memcpy(blocks->room, ring->points + sum, count * sizeof *blocks->room);
    memset(ring->points + sum, 0, count * sizeof *blocks->room);
    for (uint32_t i = 0; i < count; i++)
        ring->cells[(blocks->room[i].hash >> ring->shift) + 1]++;
    for (uint32_t c = 0; c < 1u << cell_bits; c++) {
        uint32_t here = next[c];
        next[c] = sum;
        sum += here;
    }
    for (uint32_t i = 0; i < count; i++)
        insert(ring, group, blocks->room[i]);
}

static enum status fill(struct ring *ring, const struct group *group, double per_weight)
{
    struct blocks blocks = {.bits = 64 - ring->shift};
    if (blocks.bits > BLOCK_BITS)
        blocks.bits = BLOCK_BITS;
    uint32_t most = scatter(ring, group, per_weight, &blocks);
    blocks.room = malloc((most + 1) * sizeof *blocks.room);
    if (!blocks.room)
        return NO_MEMORY;
    for (uint32_t b = 0; b < 1u << blocks.bits; b++)
        sort_block(ring, group, &blocks, b);
    free(blocks.room);
    return OK;
}

static void release(void *table)
{
    free(((struct ring *)table)->cells);
    free(table);
}

static enum status build(const struct group *group, void **ret_table)
{
    double weight = hashed_weight(group);
    if (weight <= 0)
        return OK;
    double per_weight = points_per_weight(group, weight);
    uint32_t count = count_points(group, per_weight), bits = 1;
    while (1u << bits < count)
        bits++;
    struct ring *ring = calloc(1, sizeof *ring + count * sizeof *ring->points);
    if (!ring)
        return NO_MEMORY;
    ring->count = count;
    ring->shift = 64 - bits;
    ring->cells = calloc(((size_t)1 << bits) + 1, sizeof *ring->cells);
    enum status e = ring->cells ? fill(ring, group, per_weight) : NO_MEMORY;
    if (e) {
        release(ring);
        return e;
    }
    *ret_table = ring;
    return OK;
}

static uint32_t place(const struct group *group, uint64_t hash)
{
    const struct ring *ring = group->table;
    uint32_t at = ring->cells[hash >> ring->shift];
    while (at < ring->count && ring->points[at].hash < hash)
        at++;
    return ring->points[at < ring->count ? at : 0].index;
}

static uint32_t pick_by_hash(void *state, const struct pick *pick)
{
    (void)state;
    return hashed_pick(pick, place);
}

const struct balancer_type ring_hash_balancer = {
    .name = "ring-hash",
    .help = "By a key, on a ring of hashes: the same key comes to the same endpoint, and few keys "
            "move when endpoints come or go.",
    .needs_hash = true,
    .build = build,
    .release = release,
    .pick = pick_by_hash,
};
