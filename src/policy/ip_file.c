#include "policy/ip_file.h"

#include <stdlib.h>

#include "base/grow.h"

/* --- reading */

static struct slice without_comment(struct slice line)
{
    size_t size = slice_find(line, '#');
    line = slice_head(line, size);
    line = slice_head(line, slice_find(line, ';'));
    if (slice_has_suffix(line, SLICE("\r")))
        line.size--;
    return slice_trim(line);
}

struct growing_list {
    struct network *items; /* owned */
    size_t count, capacity;
};

static struct network *add(struct growing_list *list)
{
    return grow_for_one(&list->items, &list->capacity, list->count, sizeof *list->items)
               ? &list->items[list->count++]
               : NULL;
}

static enum status read_lines(struct slice text, struct text *trouble, struct growing_list *list)
{
    struct slice line;
    for (size_t number = 1; slice_split(&text, '\n', &line); number++) {
        struct slice entry = without_comment(line);
        if (entry.size == 0)
            continue;
        struct network *network = add(list);
        if (!network)
            return NO_MEMORY;
        if (network_parse(entry, network)) {
            text_format(trouble, "line %zu: \"", number);
            text_add_json(trouble, slice_head(entry, 60));
            text_add_literal(trouble, "\" is no address or network");
            return INVALID;
        }
    }
    return OK;
}

enum status ip_file_read(struct arena *arena, struct slice text, struct text *trouble,
    const struct ip_set **ret_set, size_t *ret_count)
{
    struct growing_list list = {NULL, 0, 0};
    if (text.size == 0) { /* what is left of a list when writing it went wrong */
        text_add_literal(trouble, "it is empty; a list of nobody is a comment");
        return INVALID;
    }
    enum status e = read_lines(text, trouble, &list);
    if (!e)
        e = ip_set_build(arena, &(struct network_list){list.items, list.count}, ret_set);
    if (!e)
        *ret_count = list.count;
    free(list.items);
    return e;
}

/* --- as something that is watched */

struct ip_file {
    struct arena arena; /* owned: itself too */
    const struct ip_set *set;
    size_t count;
};

static void free_file(void *thing)
{
    struct ip_file *file = thing;
    arena_release(&file->arena);
    free(file);
}

static enum status make(struct slice text, struct text *trouble, void **ret_thing)
{
    struct ip_file *file = calloc(1, sizeof *file);
    if (!file)
        return NO_MEMORY;
    arena_init(&file->arena, 0, 0);
    enum status e = ip_file_read(&file->arena, text, trouble, &file->set, &file->count);
    if (e)
        free_file(file);
    else
        *ret_thing = file;
    return e;
}

const struct watched_kind ip_file_kind = {
    .name = "ip list", .size_max = IP_FILE_SIZE_MAX, .make = make, .free = free_file};

bool ip_file_has(const struct watched_file *file, unsigned worker, const struct address *address)
{
    const struct ip_file *list = watched_file_hold(file, worker);
    bool is_on_it = ip_set_has(list->set, address);
    watched_file_let_go(file, worker);
    return is_on_it;
}
