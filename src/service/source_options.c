#include "service/source_options.h"

#include "service/service_options.h"

static const struct option *find_option(const struct option_table *table, struct slice name)
{
    for (const struct option *option = table->options; option->name; option++)
        if (slice_equal(slice_of_text(option->name), name))
            return option;
    return NULL;
}

bool source_option_exists(struct slice name)
{
    for (size_t i = 0; discoveries[i]; i++)
        if (find_option(discoveries[i]->table, name))
            return true;
    return false;
}

/* Kinds may share a name: it is told once. */
static bool is_told(size_t kind, const char *name)
{
    for (size_t i = 0; i < kind; i++)
        if (find_option(discoveries[i]->table, slice_of_text(name)))
            return true;
    return false;
}

bool source_option(size_t i, struct option *ret_option)
{
    for (size_t kind = 0; discoveries[kind]; kind++) {
        const struct option *option = discoveries[kind]->table->options;
        for (; option->name; option++) {
            if (is_told(kind, option->name) || i-- > 0)
                continue;
            *ret_option = *option;
            return true;
        }
    }
    return false;
}

const char *source_option_name(size_t i)
{
    struct option option;
    return source_option(i, &option) ? option.name : NULL;
}

/* --- discovery: */

static const struct discovery *kind_of(struct slice scheme)
{
    for (size_t i = 0; discoveries[i]; i++)
        if (slice_equal(slice_of_text(discoveries[i]->scheme), scheme))
            return discoveries[i];
    return NULL;
}

static enum status check_options(
    struct reader *reader, const struct option_table *table, const struct node *node)
{
    size_t errors = reader->diagnostics->errors;
    void *scratch = arena_zalloc(reader->arena, table->size);
    if (!scratch)
        return NO_MEMORY;
    enum status e = option_read(reader, table, node, scratch);
    return e ? e : reader->diagnostics->errors > errors ? INVALID : OK;
}

static enum status read_kind(struct reader *reader, const struct node_entry *entry, void *value)
{
    struct discovery_defaults *defaults = value;
    const struct discovery *kind = kind_of(entry->key);
    if (!kind)
        return NOT_FOUND;
    enum status e = check_options(reader, kind->table, entry->value);
    return e ? e : loose_options_add(reader->arena, &defaults->kinds, entry);
}

static const char *kind_name(size_t i)
{
    return discoveries[i] ? discoveries[i]->scheme : NULL;
}

static bool kind_option(size_t i, struct option *ret_option)
{
    *ret_option = (struct option){
        .kind = OPTION_STRUCT, .table = discoveries[i]->table, .help = discoveries[i]->help};
    return true;
}

static const struct option no_rows[] = {{NULL}};

const struct option_table discovery_table = {.name = "discovery",
    .help = "What holds for all sources of a kind, unless one says otherwise.",
    .options = no_rows,
    .size = sizeof(struct discovery_defaults),
    .read_unknown = read_kind,
    .unknown_name = kind_name,
    .unknown_option = kind_option,
    .example = "{dns: {grace: 1m}}"};

/* --- a service's */

static size_t count_sources(const struct service_options *service)
{
    const struct endpoint_options *items = service->at.items;
    size_t count = 0;
    for (size_t i = 0; i < service->at.count; i++)
        count += items[i].at.source != NULL;
    return count;
}

static enum status complain_of_loose(
    struct reader *reader, const struct loose_options *loose, const char *why)
{
    const struct node_entry *entry = loose->entries;
    return diagnostics_error(reader->diagnostics, entry->key_place,
        SLICE("at: {address: dns+srv://cart.internal, grace: 1m}"), "\"%.*s\" %s",
        SLICE_ARG(entry->key), why);
}

enum status source_options_check(struct reader *reader, const struct service_options *service)
{
    const struct endpoint_options *items = service->at.items;
    size_t count = count_sources(service);
    for (size_t i = 0; i < service->at.count; i++)
        if (!items[i].at.source && items[i].loose.count)
            return complain_of_loose(
                reader, &items[i].loose, "is an option of sources, and this endpoint is none");
    if (service->loose.count && count == 0)
        return complain_of_loose(
            reader, &service->loose, "is an option of sources, and the service has none");
    if (service->loose.count && count > 1)
        return complain_of_loose(reader, &service->loose,
            "is an option of one source, and the service has several: write it beside that one");
    return OK;
}

static const struct node *defaults_of(
    const struct discovery_defaults *defaults, const struct discovery *type)
{
    struct slice scheme = slice_of_text(type->scheme);
    for (size_t i = 0; defaults && i < defaults->kinds.count; i++)
        if (slice_equal(defaults->kinds.entries[i].key, scheme))
            return defaults->kinds.entries[i].value;
    return NULL;
}

static struct node map_of(const struct loose_options *loose, struct place place)
{
    return (struct node){
        .kind = NODE_MAP, .place = place, .entries = loose->entries, .count = loose->count};
}

/* A name without a scheme is told by itself and its port. */
static enum status name_source(
    struct reader *reader, const struct endpoint_place *at, struct finder_recipe *recipe)
{
    recipe->text = at->text;
    recipe->rest = at->source_rest;
    if (at->name.size)
        recipe->text = recipe->rest =
            arena_format(reader->arena, "%.*s:%u", SLICE_ARG(at->name), (unsigned)at->port);
    return recipe->text.data ? OK : NO_MEMORY;
}

enum status finder_recipe_make(struct reader *reader, const struct service_options *service,
    const struct endpoint_options *item, const struct discovery_defaults *defaults,
    struct finder_recipe *ret_recipe)
{
    struct finder_recipe recipe = {.type = item->at.source, .place = item->at.place};
    struct node beside = map_of(&item->loose, recipe.place);
    struct node above = map_of(&service->loose, recipe.place);
    const struct node *maps[] = {&beside, &above, defaults_of(defaults, recipe.type)};
    struct node *own, *all;
    enum status e = name_source(reader, &item->at, &recipe);
    if (!e)
        e = source_key_merge(reader->arena, maps, 2, &own);
    if (!e)
        e = check_options(reader, recipe.type->table, own);
    if (!e)
        e = source_key_merge(reader->arena, maps, 3, &all);
    if (e)
        return e;
    recipe.options = all;
    *ret_recipe = recipe;
    return OK;
}
