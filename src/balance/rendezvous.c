/* Rendezvous hashing (Thaler and Ravishankar 1998): each endpoint draws a number for the key, and
 * the key goes to whom drew best. Exactly in proportion to the weights, and an endpoint that comes
 * takes only what it draws best for.
 *
 * Asking every endpoint takes long when there are many. So they stand in a tree, by the bits of
 * their ids, eight to a fork: there the branches draw, each with the weight of all that stand on
 * it. What is drawn belongs to the branch and the key alone; an endpoint that comes makes its
 * branches heavier, and so moves a few more keys into their neighbourhood. Picking costs the
 * logarithm of how many there are. */
#include "balance/hashed.h"

#include <math.h>
#include <stdlib.h>

#define DIGIT_BITS 3
#define LOG_BITS   8
#define LEAF       0x80000000u /* what a branch leads to is a candidate */

struct branch {
    uint64_t salt; /* of its place in the tree, whoever else there is */
    float lightness;
    uint32_t to;
};

struct fork {
    uint32_t first, count; /* branches */
};

struct tree {
    uint32_t root, fork_count, branch_count;
    struct fork *forks;              /* owned */
    struct branch *branches;         /* owned */
    float logs[(1 << LOG_BITS) + 1]; /* 1 - log2(1 + i / 256) */
};

struct leaf {
    uint64_t id;
    double weight;
    uint32_t index;
};

static int by_id(const void *one, const void *other)
{
    const struct leaf *a = one, *b = other;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Above which bits all ids are alike: a multiple of DIGIT_BITS. */
static unsigned first_difference(const struct leaf *leaves, uint32_t count)
{
    uint64_t differ = leaves[0].id ^ leaves[count - 1].id;
    unsigned bit = differ ? 63 - (unsigned)__builtin_clzll(differ) : 0;
    return bit / DIGIT_BITS * DIGIT_BITS;
}

/* How many of the leaves begin with the same digits; those with the very same id are apart. */
static uint32_t count_alike(const struct leaf *leaves, uint32_t count, unsigned shift)
{
    uint32_t alike = 1;
    while (alike < count && leaves[0].id != leaves[count - 1].id &&
           leaves[alike].id >> shift == leaves[0].id >> shift)
        alike++;
    return alike;
}

static struct branch make_branch(const struct leaf *leaves, uint32_t count, unsigned shift)
{
    double weight = 0;
    for (uint32_t i = 0; i < count; i++)
        weight += leaves[i].weight;
    return (struct branch){mix((leaves[0].id >> shift) + shift * 0x9e3779b97f4a7c15u),
        (float)(1 / weight), LEAF | leaves[0].index};
}

/* What stands for so many leaves: one, or a fork. As deep as an id has digits, at most. */
static uint32_t grow(struct tree *tree, const struct leaf *leaves, uint32_t count)
{
    if (count == 1)
        return LEAF | leaves[0].index;
    unsigned shift = first_difference(leaves, count);
    uint32_t number = tree->fork_count++;
    struct fork *fork = &tree->forks[number];
    fork->first = tree->branch_count;
    for (uint32_t i = 0, alike; i < count; i += alike) {
        alike = count_alike(leaves + i, count - i, shift);
        tree->branches[tree->branch_count++] = make_branch(leaves + i, alike, shift);
        fork->count++;
    }
    uint32_t branch = fork->first;
    for (uint32_t i = 0, alike; i < count; i += alike) {
        alike = count_alike(leaves + i, count - i, shift);
        tree->branches[branch++].to = grow(tree, leaves + i, alike);
    }
    return number;
}

static void release(void *table)
{
    struct tree *tree = table;
    free(tree->forks);
    free(tree->branches);
    free(tree);
}

static struct tree *tree_new(uint32_t count)
{
    struct tree *tree = calloc(1, sizeof *tree);
    if (!tree)
        return NULL;
    tree->forks = calloc(count, sizeof *tree->forks);
    tree->branches = calloc(count, 2 * sizeof *tree->branches);
    for (int i = 0; i <= 1 << LOG_BITS; i++)
        tree->logs[i] = (float)(1 - log2(1 + (double)i / (1 << LOG_BITS)));
    if (tree->forks && tree->branches)
        return tree;
    release(tree);
    return NULL;
}

static enum status build(const struct group *group, void **ret_table)
{
    uint32_t count = 0;
    if (hashed_weight(group) <= 0)
        return OK;
    struct leaf *leaves = calloc(group->count, sizeof *leaves);
    struct tree *tree = tree_new(group->count);
    if (!leaves || !tree) {
        free(leaves);
        if (tree)
            release(tree);
        return NO_MEMORY;
    }
    for (uint32_t i = 0; i < group->count; i++) {
        const struct candidate *candidate = &group->candidates[i];
        if (candidate->weight > 0)
            leaves[count++] = (struct leaf){candidate->id, candidate->weight, i};
    }
    qsort(leaves, count, sizeof *leaves, by_id);
    tree->root = grow(tree, leaves, count);
    free(leaves);
    *ret_table = tree;
    return OK;
}

/* -log2(u) for a u in (0, 1) of the hash's bits, from a table with straight lines in between: off
 * by a few thousandths at the most. */
static float draw_exponential(const float *logs, uint64_t hash)
{
    unsigned zeros = (unsigned)__builtin_clzll(hash | 1);
    uint64_t mantissa = (hash | 1) << zeros << 1;
    uint32_t step = (uint32_t)(mantissa >> (64 - LOG_BITS));
    float rest = (float)(uint32_t)(mantissa << LOG_BITS >> 40) * 0x1p-24f;
    return (float)zeros + logs[step] + (logs[step + 1] - logs[step]) * rest;
}

/* The least of an exponential draw by weight: who has twice the weight has it twice as often.
 * Positive floats are in the order of their bits, so that no jump has to be guessed. */
static uint32_t best_branch(const struct tree *tree, const struct fork *fork, uint64_t hash)
{
    const struct branch *branches = tree->branches + fork->first;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < fork->count; i++) {
        uint64_t draw = mix(hash ^ branches[i].salt);
        float drawn = draw_exponential(tree->logs, draw) * branches[i].lightness;
        uint32_t bits;
        memcpy(&bits, &drawn, sizeof bits);
        uint64_t packed = (uint64_t)bits << 32 | i;
        least = packed < least ? packed : least;
    }
    return branches[(uint32_t)least].to;
}

static uint32_t place(const struct group *group, uint64_t hash)
{
    const struct tree *tree = group->table;
    uint32_t at = tree->root;
    while (!(at & LEAF))
        at = best_branch(tree, &tree->forks[at], hash);
    return at & ~LEAF;
}

static uint32_t pick_by_hash(void *state, const struct pick *pick)
{
    (void)state;
    return hashed_pick(pick, place);
}

const struct balancer_type rendezvous_balancer = {
    .name = "rendezvous",
    .help = "By a key, drawn to whom it likes best: exactly by the weights, and few keys move when "
            "endpoints come or go.",
    .needs_hash = true,
    .build = build,
    .release = release,
    .pick = pick_by_hash,
};
