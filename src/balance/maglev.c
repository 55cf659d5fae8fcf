/* Maglev hashing (Eisenbud et al., NSDI 2016): a table of slots, each of which belongs to an
 * endpoint. Each endpoint has an order of its own in which it likes the slots; in turns, more often
 * the greater its weight, each takes the one that it likes best of those still free. So everybody
 * has its share of the slots almost exactly, and finding an endpoint is one look into the table;
 * but about twice as many keys move as on a ring when endpoints come or go. */
#include "balance/hashed.h"
#include "balance/turns.h"

#include <stdlib.h>

struct maglev {
    uint32_t count;
    uint32_t slots[]; /* of whom each is */
};

/* The order in which a candidate likes the slots: from `next` on in steps, around a number of slots
 * that is prime. */
struct liking {
    uint32_t next, step;
};

static bool is_prime(uint32_t n)
{
    for (uint32_t i = 2; i * i <= n; i++)
        if (n % i == 0)
            return false;
    return n > 1;
}

static uint32_t prime_from(uint32_t n)
{
    while (!is_prime(n))
        n++;
    return n;
}

/* Each begins at a place of its own, so that the order does not depend on who else there is. */
static void begin(
    const struct group *group, uint32_t count, struct turn *turns, struct liking *likings)
{
    for (uint32_t i = 0; i < group->count; i++) {
        uint64_t id = group->candidates[i].id;
        uint64_t late = group->candidates[i].weight > 0
                            ? (uint64_t)(mix_share(id) * turn_stride_by_weight(group, i))
                            : UINT64_MAX >> 1;
        turns[i] = (struct turn){late, i};
        likings[i] = (struct liking){
            (uint32_t)(mix(id) % count), (uint32_t)(mix(mix(id)) % (count - 1)) + 1};
    }
    turns_order(turns, group->count);
}

static void fill(
    struct maglev *maglev, const struct group *group, struct turn *turns, struct liking *likings)
{
    memset(maglev->slots, 0xff, maglev->count * sizeof *maglev->slots);
    for (uint32_t filled = 0; filled < maglev->count; filled++) {
        uint32_t index = turns[0].index;
        struct liking *liking = &likings[index];
        while (maglev->slots[liking->next] != PICK_NONE) {
            liking->next += liking->step;
            if (liking->next >= maglev->count)
                liking->next -= maglev->count;
        }
        maglev->slots[liking->next] = index;
        turns_advance(turns, group->count, turn_stride_by_weight(group, index));
    }
}

static enum status build(const struct group *group, void **ret_table)
{
    uint32_t count = prime_from((uint32_t)group->settings->slots);
    if (hashed_weight(group) <= 0)
        return OK;
    struct maglev *maglev = malloc(sizeof *maglev + count * sizeof *maglev->slots);
    struct turn *turns = calloc(group->count, sizeof *turns);
    struct liking *likings = calloc(group->count, sizeof *likings);
    enum status e = maglev && turns && likings ? OK : NO_MEMORY;
    if (!e) {
        maglev->count = count;
        begin(group, count, turns, likings);
        fill(maglev, group, turns, likings);
        *ret_table = maglev;
    } else {
        free(maglev);
    }
    free(turns);
    free(likings);
    return e;
}

static uint32_t place(const struct group *group, uint64_t hash)
{
    const struct maglev *maglev = group->table;
    return maglev->slots[(uint64_t)((unsigned __int128)hash * maglev->count >> 64)];
}

static uint32_t pick_by_hash(void *state, const struct pick *pick)
{
    (void)state;
    return hashed_pick(pick, place);
}

const struct balancer_type maglev_balancer = {
    .name = "maglev",
    .help = "By a key, through a table that each endpoint has its exact share of: quicker and more "
            "even than a ring, but more keys move when endpoints come or go.",
    .needs_hash = true,
    .build = build,
    .release = free,
    .pick = pick_by_hash,
};
