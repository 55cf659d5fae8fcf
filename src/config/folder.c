#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/grow.h"
#include "base/table.h"
#include "config/tree.h"

#define FILES_MAX 10000

struct names {
    struct slice *items; /* owned; paths in the arena */
    size_t count, capacity;
};

/* What the files of a folder are read with. */
struct reading {
    struct arena *arena;
    const struct tree_limits *limits;
    struct diagnostics *diagnostics;
};

static enum status complain_of_file(
    const struct reading *r, struct slice path, const char *message, struct slice hint)
{
    struct source *source = arena_new(r->arena, struct source);
    if (!source)
        return NO_MEMORY;
    *source = (struct source){arena_copy(r->arena, path), SLICE_NONE};
    return diagnostics_error(r->diagnostics, (struct place){source, 0, 0, 0}, hint, "%s", message);
}

static enum status read_file(const struct reading *r, struct slice path, struct node **ret_root)
{
    const struct source *source;
    size_t limit = r->limits && r->limits->bytes ? r->limits->bytes : (size_t)16 << 20;
    enum status e = source_read(r->arena, path, limit, &source);
    if (e == NOT_FOUND)
        return complain_of_file(r, path, "there is no such file or folder", SLICE_NONE);
    if (e == TOO_LARGE) {
        struct slice hint = arena_format(r->arena, "the limit is %zu bytes", limit);
        return complain_of_file(r, path, "the file is too large for a configuration", hint);
    }
    if (e == IO_ERROR)
        return complain_of_file(
            r, path, "the file cannot be read", SLICE("is it a file, and may this user read it?"));
    return e ? e : tree_read(r->arena, source, r->limits, r->diagnostics, ret_root);
}

static bool is_configuration(const char *name)
{
    struct slice s = slice_of_text(name);
    return name[0] != '.' &&
           (slice_has_suffix(s, SLICE(".yaml")) || slice_has_suffix(s, SLICE(".yml")));
}

static enum status add_name(
    struct arena *arena, struct slice folder, const char *name, struct names *names)
{
    bool has_slash = slice_has_suffix(folder, SLICE("/"));
    struct slice parts[] = {folder, has_slash ? SLICE("") : SLICE("/"), slice_of_text(name)};
    struct slice path = arena_join(arena, parts, 3);
    if (!path.data ||
        !grow_for_one(&names->items, &names->capacity, names->count, sizeof *names->items))
        return NO_MEMORY;
    names->items[names->count++] = path;
    return OK;
}

static int compare_names(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static enum status list_folder(const struct reading *r, struct slice path, struct names *names)
{
    char *name = arena_text(r->arena, path);
    if (!name)
        return NO_MEMORY;
    DIR *folder = opendir(name);
    if (!folder)
        return complain_of_file(r, path, "the folder cannot be read", SLICE_NONE);
    enum status e = OK;
    for (struct dirent *entry; !e && (entry = readdir(folder));)
        if (is_configuration(entry->d_name))
            e = names->count < FILES_MAX ? add_name(r->arena, path, entry->d_name, names) : FULL;
    closedir(folder);
    if (e == FULL)
        return complain_of_file(r, path, "the folder has too many files", SLICE_NONE);
    if (!e && names->count == 0)
        return complain_of_file(r, path, "the folder has no *.yaml or *.yml file", SLICE_NONE);
    if (!e)
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    return e;
}

static void complain_of_second(
    const struct reading *r, const struct node_entry *first, const struct node_entry *second)
{
    diagnostics_error(r->diagnostics, second->key_place, SLICE_NONE,
        "the key \"%.*s\" stands in two files", SLICE_ARG(second->key));
    diagnostics_relate(r->diagnostics, first->key_place, "the other is here");
}

static struct node_entry *find_entry(struct node_entry *entries, size_t count, struct slice key)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(entries[i].key, key))
            return &entries[i];
    return NULL;
}

/* The entries by their keys; of equal keys (complained of already) the first. */
static enum status index_entries(const struct node *map, struct table *ret_index)
{
    table_init(ret_index, map->count);
    enum status e = OK;
    for (size_t i = 0; i < map->count && e != NO_MEMORY; i++)
        e = table_put(ret_index, map->entries[i].key, &map->entries[i]);
    return e == NO_MEMORY ? e : OK;
}

static enum status join_lists(const struct reading *r, const struct node *more, struct node *list)
{
    struct node **items = arena_array(r->arena, list->count + more->count, sizeof *items);
    if (!items)
        return NO_MEMORY;
    if (list->count)
        memcpy(items, list->items, list->count * sizeof *items);
    if (more->count)
        memcpy(items + list->count, more->items, more->count * sizeof *items);
    list->items = items;
    list->count += more->count;
    return OK;
}

/* Puts the entries of one map behind those of another, except for keys that both have. */
static enum status join_maps(const struct reading *r, const struct node *more, struct node *map)
{
    struct node_entry *entries = arena_array(r->arena, map->count + more->count, sizeof *entries);
    if (!entries)
        return NO_MEMORY;
    if (map->count)
        memcpy(entries, map->entries, map->count * sizeof *entries);
    struct table known;
    enum status e = index_entries(map, &known);
    size_t count = map->count;
    for (size_t i = 0; i < more->count && !e; i++) {
        const struct node_entry *first = table_get(&known, more->entries[i].key);
        if (first)
            complain_of_second(r, first, &more->entries[i]);
        else
            entries[count++] = more->entries[i];
    }
    table_release(&known);
    map->entries = entries;
    map->count = count;
    return e;
}

/* A key that two files have at the top. A copy of the node takes both, since aliases may share it.
 */
static enum status join_entries(
    const struct reading *r, const struct node_entry *more, struct node_entry *entry)
{
    bool is_same_kind = entry->value->kind == more->value->kind;
    if (!is_same_kind || entry->value->kind == NODE_SCALAR || entry->value->kind == NODE_NULL) {
        complain_of_second(r, entry, more);
        return OK;
    }
    struct node *copy = arena_new(r->arena, struct node);
    if (!copy)
        return NO_MEMORY;
    *copy = *entry->value;
    entry->value = copy;
    return copy->kind == NODE_LIST ? join_lists(r, more->value, copy)
                                   : join_maps(r, more->value, copy);
}

static enum status join_roots(const struct reading *r, const struct node *more, struct node *root)
{
    struct node_entry *entries = arena_array(r->arena, root->count + more->count, sizeof *entries);
    if (!entries)
        return NO_MEMORY;
    if (root->count)
        memcpy(entries, root->entries, root->count * sizeof *entries);
    root->entries = entries;
    size_t known = root->count; /* a key that one file has twice was complained of already */
    enum status e = OK;
    for (size_t i = 0; i < more->count && !e; i++) {
        struct node_entry *same = find_entry(entries, known, more->entries[i].key);
        if (same)
            e = join_entries(r, &more->entries[i], same);
        else
            root->entries[root->count++] = more->entries[i];
    }
    return e;
}

static enum status add_file(const struct reading *r, struct slice path, struct node *root)
{
    struct node *more = NULL;
    enum status e = read_file(r, path, &more);
    if (e || !more)
        return e;
    if (more->kind != NODE_MAP)
        return diagnostics_error(r->diagnostics, more->place, SLICE_NONE,
            "a file of a folder is a map, not %s", node_kind_name(more));
    if (root->count == 0)
        root->place = more->place;
    return join_roots(r, more, root);
}

/* Reads on after a file with errors, so that those of all files are seen. */
static enum status read_folder(const struct reading *r, struct slice path, struct node **ret_root)
{
    struct names names = {0};
    struct node *root = arena_new(r->arena, struct node);
    enum status e = root ? list_folder(r, path, &names) : NO_MEMORY;
    bool is_whole = true;
    for (size_t i = 0; i < names.count && !e; i++) {
        root->kind = NODE_MAP;
        e = add_file(r, names.items[i], root);
        if (e == INVALID) {
            is_whole = false;
            e = OK;
        }
    }
    free(names.items);
    if (!e && !is_whole)
        e = INVALID;
    if (!e)
        *ret_root = root;
    return e;
}

enum status tree_read_path(struct arena *arena, struct slice path, const struct tree_limits *limits,
    struct diagnostics *diagnostics, struct node **ret_root)
{
    struct reading r = {arena, limits, diagnostics};
    char *name = arena_text(arena, path);
    if (!name)
        return NO_MEMORY;
    struct stat about;
    if (stat(name, &about) == 0 && S_ISDIR(about.st_mode))
        return read_folder(&r, path, ret_root);
    return read_file(&r, path, ret_root);
}
