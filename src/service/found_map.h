/* What a source has found by the parts in which it tells of changes: keys of a store, slices of a
 * service, containers. */
#pragma once

#include "base/table.h"
#include "service/finder.h"

#define FOUND_PARTS_MAX FOUND_MAX

struct found_part {
    struct arena arena; /* all that it is made of */
    struct slice key;
    struct findings findings;
};

struct found_map {
    struct table parts; /* by key: struct found_part, owned */
};

void found_map_init(struct found_map *map);
void found_map_release(struct found_map *map);

/* An empty part in place of the one with that key, if there was one. FULL, NO_MEMORY: then there is
 * none. */
enum status found_map_put(struct found_map *map, struct slice key, struct found_part **ret_part);

/* Harmless when there is none. */
void found_map_remove(struct found_map *map, struct slice key);

/* Removes all. */
void found_map_clear(struct found_map *map);

/* Reports the findings of all parts. NO_MEMORY, FULL, CANCELLED. */
enum status found_map_report(const struct found_map *map, struct finder *finder);
