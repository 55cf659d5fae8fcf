/* Records of one word by key, for algorithms whose record is the instant from which on it says
 * nothing: a table of fixed size in which every change is one compare-and-swap.
 *
 * A key is known by its 64-bit SipHash. It lives in one of two cache lines of four entries each. An
 * entry whose time has passed says nothing, like that of a new key: so it is free to be taken. When
 * all eight are in use, the one whose time passes soonest makes room (it forgets least). A look-up
 * takes no lock; bringing in a new key takes one of LIMIT_INSTANTS_LOCKS, held for some tens of
 * nanoseconds, so that a key is never there twice.
 *
 * For limit_table.h, whose functions these are; times are the algorithm's. */
#pragma once

#include "policy/limit_algorithm.h"

struct limit_instants;

#define LIMIT_INSTANTS_LOCKS 64

enum status limit_instants_new(
    const struct limit_algorithm *algorithm, size_t keys, struct limit_instants **ret_instants);
void limit_instants_free(struct limit_instants *instants);

struct limit_decision limit_instants_take(struct limit_instants *instants, struct slice key,
    const struct limit_rule *rule, int64_t cost, int64_t now);
void limit_instants_settle(struct limit_instants *instants, struct slice key,
    const struct limit_rule *rule, int64_t difference, int64_t at, int64_t now);
struct limit_decision limit_instants_look(struct limit_instants *instants, struct slice key,
    const struct limit_rule *rule, int64_t cost, int64_t now);
