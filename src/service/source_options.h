/* Options of sources, wherever they are written: beside the source, on its service when it is the
 * only one, and under `discovery:` for all sources of a kind. */
#pragma once

#include "service/finder.h"
#include "service/source_key.h"

/* Which options some kind of source has, for read_unknown and its companions: a name, the i-th of
 * them. */
bool source_option_exists(struct slice name);
const char *source_option_name(size_t i);
bool source_option(size_t i, struct option *ret_option);

/* What `discovery:` says. */
struct discovery_defaults {
    struct loose_options kinds; /* by scheme */
};
extern const struct option_table discovery_table;

/* What a source of a service is made of. INVALID after complaints, NO_MEMORY. `defaults` NULL:
 * none. */
struct endpoint_options;
struct service_options;
enum status finder_recipe_make(struct reader *reader, const struct service_options *service,
    const struct endpoint_options *item, const struct discovery_defaults *defaults,
    struct finder_recipe *ret_recipe);

/* Complains of options that belong to no source. OK, INVALID. */
enum status source_options_check(struct reader *reader, const struct service_options *service);
