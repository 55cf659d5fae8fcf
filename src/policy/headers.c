#include "policy/policy.h"

#include "config/expression.h"
#include "policy/reserved_fields.h"

/* Changes header fields, of the request on its way to the service and of the answer on its way
 * back: first `remove`, then `set` (which replaces), then `add`. Values are templates. One that
 * comes out empty sets nothing, and what was there is gone: so `set: {X-User: "${claims.sub}"}`
 * never lets a client's own X-User through. The same holds for one that comes out with control
 * bytes, which no field may have; those are counted.
 *
 * Fields that say where a message ends, or that mean one connection only, are the gateway's own
 * business; and so are the answers that it makes when something fails: a Cache-Control that is
 * meant for a service's answers must not keep an error in caches. */

struct edit {
    struct slice name;
    enum field_id id;
    const struct template *value; /* NULL: remove */
    bool keeps;                   /* add: what is there stays */
};

struct edits {
    struct option_list remove;  /* of struct slice */
    struct option_map set, add; /* of struct template * */
    struct edit *items;         /* the three of them, in the order in which they are done */
    size_t count;
};

struct headers {
    struct edits request, response;
    struct metrics_shard *const *shards;
    uint32_t refused; /* series */
};

static const struct option name_item = {.name = "name", .kind = OPTION_TEXT};
static const struct option request_item = {.name = "value", .kind = OPTION_TEMPLATE};
static const struct option response_item = {
    .name = "value", .kind = OPTION_TEMPLATE, .sees_response = true};

#define REMOVE_OPTION                                                                             \
    {                                                                                             \
        "remove", OPTION_LIST, offsetof(struct edits, remove),                                    \
            .item = &name_item, .item_size = sizeof(struct slice), .help = "Fields to take away." \
    }
#define VALUES_OPTION(key, item_, text)                                          \
    {                                                                            \
#key, OPTION_MAP, offsetof(struct edits, key),                           \
            .item = &item_, .item_size = sizeof(struct template *), .help = text \
    }

static const struct option request_options[] = {
    REMOVE_OPTION,
    VALUES_OPTION(set, request_item, "Fields to put in place of those that are there."),
    VALUES_OPTION(add, request_item, "Fields to put beside those that are there."),
    {NULL},
};

static const struct option response_options[] = {
    REMOVE_OPTION,
    VALUES_OPTION(set, response_item, "Fields to put in place of those that are there."),
    VALUES_OPTION(add, response_item, "Fields to put beside those that are there."),
    {NULL},
};

static enum status add_edit(struct reader *reader, struct edits *edits, struct place place,
    struct slice name, const struct template *value, bool keeps)
{
    const char *problem = reserved_field_problem(name);
    if (problem)
        return diagnostics_error(reader->diagnostics, place, SLICE_NONE,
            "the field \"%.*s\" cannot be changed: %s", SLICE_ARG(name), problem);
    edits->items[edits->count++] = (struct edit){name, field_id_of(name), value, keeps};
    return OK;
}

/* The place of one of the names under `remove`; of the whole when it was written alone. */
static struct place removed_place(const struct node *node, size_t i)
{
    const struct node *list = node_get(node, SLICE("remove"));
    if (!list)
        return node->place;
    return list->kind == NODE_LIST && i < list->count ? list->items[i]->place : list->place;
}

static enum status check_edits(struct reader *reader, const struct node *node, void *value)
{
    struct edits *edits = value;
    edits->items = arena_array(reader->arena,
        edits->remove.count + edits->set.count + edits->add.count + 1, sizeof *edits->items);
    if (!edits->items)
        return NO_MEMORY;
    enum status outcome = OK;
    const struct slice *removed = edits->remove.items;
    for (size_t i = 0; i < edits->remove.count; i++) {
        enum status e = add_edit(reader, edits, removed_place(node, i), removed[i], NULL, false);
        outcome = e ? e : outcome;
    }
    const struct option_map *maps[] = {&edits->set, &edits->add};
    for (int m = 0; m < 2; m++) {
        for (size_t i = 0; i < maps[m]->count; i++) {
            const struct option_map_entry *entry = &maps[m]->entries[i];
            const struct template *const *template = entry->value;
            enum status e = add_edit(reader, edits, entry->place, entry->key, *template, m == 1);
            outcome = e ? e : outcome;
        }
    }
    return outcome;
}

static const struct option_table request_table = {
    .name = "headers of requests",
    .help = "What happens to the fields of a request before the service gets it.",
    .options = request_options,
    .size = sizeof(struct edits),
    .check = check_edits,
};

static const struct option_table response_table = {
    .name = "headers of answers",
    .help = "What happens to the fields of an answer before the client gets it.",
    .options = response_options,
    .size = sizeof(struct edits),
    .check = check_edits,
};

static const struct option options[] = {
    {"request", OPTION_STRUCT, offsetof(struct headers, request), .table = &request_table,
        .help = "Changes to the request."},
    {"response", OPTION_STRUCT, offsetof(struct headers, response), .table = &response_table,
        .help = "Changes to the answer."},
    {NULL},
};

static const struct option_table table = {
    .name = "headers",
    .help = "Sets, adds and removes header fields of requests and answers.",
    .options = options,
    .size = sizeof(struct headers),
    .example =
        "headers: {request: {set: {X-Client: \"${client.ip}\"}}, response: {remove: Server}}",
};

static enum status prepare(struct prepare *prepare, void *config)
{
    static const struct metric_family refused = {.name = "weir_headers_refused_total",
        .help = "Values that a headers policy did not set because they had control bytes.",
        .kind = METRIC_COUNTER,
        .labels = {"policy"}};
    struct headers *headers = config;
    headers->shards = prepare->shards;
    headers->refused = metrics_series(prepare->metrics, &refused, &prepare->name);
    return OK;
}

static enum status apply_one(const struct headers *headers, const struct edit *edit,
    struct exchange *x, struct fields *fields)
{
    struct slice value = SLICE_NONE;
    if (edit->value) {
        value = template_render(edit->value, x);
        if (!value.data)
            return NO_MEMORY;
        value = slice_trim(value);
    }
    if (!field_value_is_valid(value)) {
        if (!x->is_rehearsal)
            metric_add(headers->shards[x->worker], headers->refused, 1);
        value = SLICE_NONE;
    }
    if (!edit->keeps)
        fields_remove(fields, edit->name);
    return value.size ? fields_add(fields, edit->id, edit->name, value) : OK;
}

static enum status apply(const struct headers *headers, const struct edits *edits,
    struct exchange *x, struct fields *fields)
{
    for (size_t i = 0; i < edits->count; i++) {
        enum status e = apply_one(headers, &edits->items[i], x, fields);
        if (e)
            return e;
    }
    return OK;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct headers *headers = config;
    enum status e = apply(headers, &headers->request, x, &x->request.fields);
    if (e)
        return e;
    e = handler_serve(next, x);
    return e ? e : apply(headers, &headers->response, x, &x->response.fields);
}

const struct policy_type headers_policy = {
    .name = "headers",
    .plural = "headers",
    .options = &table,
    .prepare = prepare,
    .serve = serve,
};
