/* A route's chain: its handler with the policies around it, in the order of policies.def. */
#pragma once

#include "gateway/snapshot.h"

/* Prepares the handler and the policies of a route and links them. Complaints go to
 * prepare->reader. NO_MEMORY, INVALID, OK. */
enum status chain_build(const struct prepare *prepare, const struct gateway_options *options,
    const struct route_options *from, struct route *route);

/* Hook of struct prepare. */
enum status chain_make_handler(struct prepare *prepare, struct slice key, const struct node *value,
    struct handler *ret_handler);

/* Links named policies around a handler that is no route's: only those that say who is let through
 * (policy_type.admits). `use` NULL: those of the file's `use` that do; else others are complained
 * of. NO_MEMORY, OK. */
enum status chain_admit(struct reader *reader, const struct gateway_options *options,
    const struct option_list *use, struct handler inner, struct handler *ret_handler);
