/* Sets of networks: 10,000 are asked in some 14 steps. Read by any number of threads once built. */
#pragma once

#include "config/option.h"
#include "run/address.h"

struct ip_set;

/* Of the networks in `list`, in the arena; NO_MEMORY. */
enum status ip_set_build(
    struct arena *arena, const struct network_list *list, const struct ip_set **ret_set);

/* True when one of the networks has the address. A unix socket has none. */
bool ip_set_has(const struct ip_set *set, const struct address *address);
