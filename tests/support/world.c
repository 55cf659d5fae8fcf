#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "run/loop.h"
#include "support/unit.h"

static void begin_exchange(struct world *world)
{
    memset(&world->x, 0, sizeof world->x);
    arena_init(&world->x.arena, 0, 0);
    scope_init(&world->x.scope);
    fields_init(&world->x.request.fields, &world->x.arena);
    fields_init(&world->x.response.fields, &world->x.arena);
    body_init_empty(&world->no_body);
    world->x.request.body = &world->no_body;
    world->x.deadline = NEVER;
}

static void end_exchange(struct world *world)
{
    if (world->x.response.body)
        body_drop(world->x.response.body);
    world->x.response.body = NULL;
    exchange_run_ends(&world->x);
    arena_release(&world->x.arena);
}

struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    arena_init(&world->arena, 0, 0);
    diagnostics_init(&world->diagnostics, &world->arena);
    world->reader = (struct reader){.arena = &world->arena, .diagnostics = &world->diagnostics};
    world->registry = registry_new();
    assert_non_null(world->registry);
    assert_ok(metrics_new(0, &world->metrics));
    assert_ok(metrics_shard_new(world->metrics, &world->shards[0]));
    assert_ok(memory_new(MEMORY_LIMIT_MIN, &world->memory));
    world->prepare = (struct prepare){.reader = &world->reader,
        .registry = world->registry,
        .metrics = world->metrics,
        .shards = world->shards,
        .workers = 1,
        .stores.memory = memory_store(world->memory)};
    world->text = text_growing(0);
    begin_exchange(world);
    return world;
}

void world_free(struct world *world)
{
    end_exchange(world);
    arena_release(&world->arena);
    registry_free(world->registry);
    metrics_free(world->metrics);
    memory_free(world->memory);
    text_release(&world->text);
    free(world);
}

static const char *text_of(struct world *world)
{
    text_add_char(&world->text, '\0');
    assert_false(world->text.failed);
    return world->text.data;
}

/* Reads a value as it stands behind a key; complaints are in world->diagnostics. */
static void *read_value(struct world *world, const struct option_table *table, const char *value)
{
    struct source *source = arena_new(&world->arena, struct source);
    source->name = SLICE("<text>");
    source->text = arena_format(&world->arena, "it: %s\n", value);
    struct node *root;
    diagnostics_init(&world->diagnostics, &world->arena);
    if (tree_read(&world->arena, source, NULL, &world->diagnostics, &root))
        return NULL;
    const struct node *node = node_get(root, SLICE("it"));
    assert_non_null(node);
    void *config = arena_zalloc(&world->arena, table->size);
    assert_non_null(config);
    return option_read(&world->reader, table, node, config) ? NULL : config;
}

static const char *diagnostics_text(struct world *world)
{
    text_clear(&world->text);
    diagnostics_print(&world->diagnostics, false, &world->text);
    return text_of(world);
}

void *world_read(struct world *world, const struct option_table *table, const char *value)
{
    void *config = read_value(world, table, value);
    if (!config || world->diagnostics.count)
        fail_msg("%s", diagnostics_text(world));
    return config;
}

const char *world_complaints(
    struct world *world, const struct option_table *table, const char *value)
{
    read_value(world, table, value);
    if (world->diagnostics.errors == 0)
        fail_msg("nothing is said against %s", value);
    return diagnostics_text(world);
}

void world_all_wrong(
    struct world *world, const struct option_table *table, const struct world_wrong *wrong)
{
    for (; wrong->value; wrong++) {
        const char *said = world_complaints(world, table, wrong->value);
        if (!strstr(said, wrong->complaint))
            fail_msg("no \"%s\" about %s in:\n%s", wrong->complaint, wrong->value, said);
    }
}

void world_policy(
    struct world *world, const struct policy_type *type, const char *name, const char *value)
{
    world->policy = type;
    world->config = world_read(world, type->options, value);
    world->prepare.name = slice_of_text(name);
    if (type->prepare)
        assert_ok(type->prepare(&world->prepare, world->config));
}

void world_handler(struct world *world, const struct handler_type *type, const char *value)
{
    world->handler = type;
    world->config = world_read(world, type->options, value);
    world->prepare.name = SLICE("GET /");
    if (type->prepare)
        assert_ok(type->prepare(&world->prepare, world->config));
}

void world_request(struct world *world, const char *method, const char *target)
{
    end_exchange(world);
    begin_exchange(world);
    struct http_request *request = &world->x.request;
    struct slice text = arena_copy(&world->x.arena, slice_of_text(target));
    size_t path_size = slice_find(text, '?');
    request->method_text = slice_of_text(method);
    request->method = http_method_of(request->method_text);
    request->version = HTTP_1_1;
    request->target = text;
    request->scheme = SLICE("http");
    request->host = request->authority = SLICE("shop.example");
    request->path = slice_head(text, path_size);
    if (path_size < text.size)
        request->query = slice_of(text.data + path_size + 1, text.size - path_size - 1);
    world_client(world, "192.0.2.1");
    memset(&world->next.calls, 0, sizeof world->next - offsetof(struct next_fake, calls));
}

void world_field(struct world *world, const char *name, const char *value)
{
    struct slice field = slice_of_text(name);
    assert_ok(
        fields_add(&world->x.request.fields, field_id_of(field), field, slice_of_text(value)));
}

void world_client(struct world *world, const char *address)
{
    struct slice text = slice_of_text(address);
    assert_ok(slice_has_prefix(text, SLICE("unix:"))
                  ? address_parse(text, &world->x.client)
                  : address_parse_ip(text, 1234, &world->x.client));
    world->x.peer = world->x.client;
}

void world_body(struct world *world, const char *bytes, bool is_length_known)
{
    world->x.request.body = body_init_slice(&world->body, slice_of_text(bytes));
    if (!is_length_known)
        world->body.body.length = BODY_LENGTH_UNKNOWN;
}

static void note(char *room, size_t size, struct slice s)
{
    snprintf(room, size, "%.*s", SLICE_ARG(s));
}

static enum status serve_next(const void *state, struct exchange *x)
{
    struct next_fake *next = &((struct world *)(uintptr_t)state)->next;
    next->calls++;
    note(next->path, sizeof next->path, x->request.path);
    note(next->query, sizeof next->query, x->request.query);
    note(next->host, sizeof next->host, x->request.authority);
    struct slice bytes;
    enum status e = OK;
    while (next->reads_body && (e = body_read(x->request.body, NEVER, &bytes)) == OK)
        next->received += bytes.size;
    if (e && e != END)
        return e;
    if (next->outcome)
        return next->outcome;
    struct slice type = next->type ? slice_of_text(next->type) : SLICE("text/plain");
    assert_ok(
        exchange_respond(x, next->status ? next->status : 200, type, slice_of_text(next->body)));
    for (int i = 0; i < WORLD_FIELDS_MAX && next->fields[i].name; i++) {
        struct slice name = slice_of_text(next->fields[i].name);
        assert_ok(fields_add(
            &x->response.fields, field_id_of(name), name, slice_of_text(next->fields[i].value)));
    }
    return OK;
}

enum status world_serve(struct world *world)
{
    struct handler next = {serve_next, world};
    if (world->handler)
        return world->handler->serve(world->config, &world->x);
    return world->policy->serve(world->config, &world->x, &next);
}

const char *world_answer_field(struct world *world, const char *name)
{
    struct slice value = fields_combined(&world->x.response.fields, slice_of_text(name));
    char *text = arena_text(&world->x.arena, value);
    assert_non_null(text);
    return text;
}

const char *world_answer_body(struct world *world)
{
    struct slice bytes;
    enum status e;
    text_clear(&world->text);
    while ((e = body_read(world->x.response.body, NEVER, &bytes)) == OK)
        text_add(&world->text, bytes);
    assert_status(e, END);
    return text_of(world);
}

long world_metric(struct world *world, const char *series)
{
    text_clear(&world->text);
    metrics_export(world->metrics, &world->text);
    const char *found = strstr(text_of(world), series);
    return found ? strtol(found + strlen(series), NULL, 10) : -1;
}

const char *world_explain(struct world *world)
{
    text_clear(&world->text);
    if (world->handler)
        world->handler->explain(world->config, &world->x, &world->text);
    else
        world->policy->explain(world->config, &world->x, &world->text);
    return text_of(world);
}
