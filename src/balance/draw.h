/* Draws by lot, for balancers. */
#pragma once

#include "balance/balancer.h"

/* Somebody who will do, each as likely as the others; PICK_NONE. */
uint32_t draw_evenly(const struct pick *pick);

/* Whoever comes first from a random place on; PICK_NONE when nobody will do. */
uint32_t draw_any(const struct pick *pick);

/* Draws in proportion to the weights by the alias method (Walker 1977, Vose 1991): a table in which
 * each place holds two candidates and how often the first of them is meant. */
struct draw_table;
enum status draw_table_new(const struct group *group, struct draw_table **ret_table);

/* The same as a `build` of a balancer whose table it is, released by free. */
enum status draw_build(const struct group *group, void **ret_table);

/* Whoever has weight: may be down. PICK_NONE when nobody has. */
uint32_t draw_by_weight(const struct draw_table *table, struct random *random);
