#include "service/found_map.h"

#include <stdlib.h>

#define PART_MAX ((size_t)16 << 20)

void found_map_init(struct found_map *map)
{
    table_init(&map->parts, FOUND_PARTS_MAX);
}

static void free_part(struct found_part *part)
{
    if (!part)
        return;
    arena_release(&part->arena);
    free(part);
}

void found_map_clear(struct found_map *map)
{
    table_each (entry, &map->parts)
        free_part(entry->value);
    table_release(&map->parts);
}

void found_map_release(struct found_map *map)
{
    found_map_clear(map);
}

enum status found_map_put(struct found_map *map, struct slice key, struct found_part **ret_part)
{
    struct found_part *part = calloc(1, sizeof *part);
    if (!part)
        return NO_MEMORY;
    arena_init(&part->arena, 512, PART_MAX);
    part->findings.arena = &part->arena;
    part->key = arena_copy(&part->arena, key);
    found_map_remove(map, key);
    enum status e = part->key.data ? table_put(&map->parts, part->key, part) : NO_MEMORY;
    if (e)
        free_part(part);
    else
        *ret_part = part;
    return e;
}

void found_map_remove(struct found_map *map, struct slice key)
{
    free_part(table_remove(&map->parts, key));
}

enum status found_map_report(const struct found_map *map, struct finder *finder)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct findings all = {.arena = &arena};
    enum status e = OK;
    table_each (entry, &map->parts) {
        const struct findings *findings = &((const struct found_part *)entry->value)->findings;
        for (size_t i = 0; !e && i < findings->count; i++)
            e = findings_add(&all, &findings->items[i]);
    }
    if (!e)
        e = finder_report(finder, &all);
    arena_release(&arena);
    return e;
}
