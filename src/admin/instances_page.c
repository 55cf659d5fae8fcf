#include "admin/instances_page.h"

#include <stdlib.h>

#include "config/unit.h"
#include "run/loop.h"
#include "service/instances.h"

#define ANSWER_MAX ((size_t)64 << 20)
#define WAIT_MOST  (5 * MINUTE)
#define ALIVE_EVERY \
    (5 * SECOND) /* a comment shows that the stream lives, and that the client does */

/* --- answers */

static void free_data(void *data)
{
    free(data);
}

static enum status respond(struct exchange *x, int status, struct text *text)
{
    if (text->failed || !arena_defer(&x->arena, free_data, text->data)) {
        text_release(text);
        return NO_MEMORY;
    }
    return exchange_respond(x, status, SLICE("application/json"), text_slice(text));
}

static enum status respond_all(struct exchange *x, const struct instances *instances)
{
    struct text text = text_growing(ANSWER_MAX);
    struct json_writer writer;
    json_writer_init(&writer, &text, 2);
    instances_write(instances, &writer);
    text_add_char(&text, '\n');
    return respond(x, 200, &text);
}

static enum status refuse(struct exchange *x, enum status reason, struct slice why)
{
    exchange_respond_problem(x, reason, why);
    return OK;
}

/* --- events */

/* A body that never ends: what there is, then each change. */
struct events {
    struct body body;
    struct instances *instances; /* counted */
    struct text text;
    uint64_t index; /* that was told; 0: nothing yet */
};

static enum status read_events(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct events *events = (struct events *)body;
    struct json_writer writer;
    instant alive = clock_sooner(deadline, loop_now() + ALIVE_EVERY);
    enum status e = instances_wait(events->instances, events->index, alive);
    if (e && e != TIMEOUT)
        return e;
    text_clear(&events->text);
    if (e == TIMEOUT) {
        text_add_literal(&events->text, ":\n\n");
    } else {
        events->index = instances_index(events->instances);
        text_format(&events->text, "id: %llu\ndata: ", (unsigned long long)events->index);
        json_writer_init(&writer, &events->text, 0);
        instances_write(events->instances, &writer);
        text_add_literal(&events->text, "\n\n");
    }
    *ret_bytes = text_slice(&events->text);
    return events->text.failed ? NO_MEMORY : OK;
}

static void drop_events(struct body *body)
{
    struct events *events = (struct events *)body;
    instances_unref(events->instances);
    text_release(&events->text);
}

static const struct body_ops events_ops = {.read = read_events, .drop = drop_events};

static enum status respond_events(struct exchange *x, struct instances *instances)
{
    struct events *events = arena_new(&x->arena, struct events);
    enum status e =
        events ? exchange_respond(x, 200, SLICE("text/event-stream"), SLICE_NONE) : NO_MEMORY;
    if (!e)
        e = fields_add_known(&x->response.fields, FIELD_CACHE_CONTROL, SLICE("no-store"));
    if (e)
        return e;
    instances_ref(instances);
    *events = (struct events){.body = {&events_ops, BODY_LENGTH_UNKNOWN, NULL},
        .instances = instances,
        .text = text_growing(ANSWER_MAX)};
    x->response.body = &events->body;
    x->is_lasting = true;
    return OK;
}

/* --- looking */

static bool has_parameter(struct slice query, struct slice wanted)
{
    struct slice name, value;
    while (uri_query_next(&query, &name, &value))
        if (slice_equal(name, wanted))
            return true;
    return false;
}

static bool wants_events(const struct exchange *x)
{
    return fields_list_has(&x->request.fields, FIELD_ACCEPT, SLICE("text/event-stream"));
}

static enum status look(struct exchange *x, struct instances *instances)
{
    struct slice index = uri_query_value(&x->arena, x->request.query, SLICE("index")),
                 wait = uri_query_value(&x->arena, x->request.query, SLICE("wait"));
    uint64_t known = 0;
    int64_t patience = WAIT_MOST;
    const char *problem;
    if (!has_parameter(x->request.query, SLICE("watch")))
        return respond_all(x, instances);
    if (wants_events(x))
        return respond_events(x, instances);
    if ((index.data && !slice_to_u64(index, &known)) ||
        (wait.data && unit_parse_duration(wait, &patience, &problem)))
        return refuse(x, BAD_FIELD, SLICE("What is wanted is ?watch&index=7&wait=30s."));
    instances_ref(instances);
    enum status e = instances_wait(
        instances, known, loop_now() + (patience < WAIT_MOST ? patience : WAIT_MOST));
    if (!e || e == TIMEOUT)
        e = respond_all(x, instances);
    instances_unref(instances);
    return e;
}

/* --- changing */

static bool is_admitted(const struct exchange *x, const struct instances *instances)
{
    struct slice bearer = SLICE("Bearer "),
                 value = fields_value(&x->request.fields, FIELD_AUTHORIZATION);
    return slice_has_prefix(value, bearer) &&
           instances_admit(instances, slice_trim(slice_from(value, bearer.size)));
}

static enum status register_one(
    struct gateway *gateway, struct exchange *x, struct slice service, struct slice id)
{
    char room[300];
    struct text trouble = text_fixed(room, sizeof room), text = text_growing(1024);
    struct slice body;
    bool is_new;
    enum status e =
        body_read_all(x->request.body, &x->arena, INSTANCE_BODY_MAX, x->deadline, &body);
    if (e)
        return e == TOO_LARGE ? BODY_TOO_LARGE : e;
    /* Reading has waited: a reload may have come meanwhile. */
    struct instances *instances = gateway_instances(gateway, service);
    e = instances ? instances_put(instances, id, body, &trouble, &is_new) : NOT_FOUND;
    if (e == NOT_FOUND)
        return refuse(x, NO_ROUTE, SLICE("There is no such instance: say where it is."));
    if (e == FULL)
        return refuse(x, OVERLOADED, SLICE("The service has as many instances as it may have."));
    if (e == INVALID)
        return refuse(x, BAD_FIELD, arena_copy(&x->arena, text_slice(&trouble)));
    if (e)
        return e;
    text_format(&text, "{\"index\": %llu}\n", (unsigned long long)instances_index(instances));
    return respond(x, is_new ? 201 : 200, &text);
}

static enum status change(
    struct gateway *gateway, struct exchange *x, struct slice service, struct slice id)
{
    if (x->request.method == METHOD_PUT)
        return register_one(gateway, x, service, id);
    if (x->request.method != METHOD_DELETE)
        return METHOD_NOT_ALLOWED;
    if (instances_remove(gateway_instances(gateway, service), id))
        return refuse(x, NO_ROUTE, SLICE("There is no such instance."));
    return exchange_respond(x, 204, SLICE_NONE, SLICE_NONE);
}

/* "NAME" or "NAME/instances/ID". */
static enum status split(
    struct exchange *x, struct slice *ret_service, struct slice *ret_id, bool *ret_has_id)
{
    static const struct slice middle = SLICE_INIT("/instances/");
    struct slice rest = slice_from(x->request.path, sizeof INSTANCES_PATH - 1);
    size_t slash = slice_find(rest, '/');
    struct slice behind = slice_from(rest, slash);
    *ret_has_id = slice_has_prefix(behind, middle);
    if (behind.size && !*ret_has_id)
        return NO_ROUTE;
    enum status e = uri_decode(&x->arena, slice_head(rest, slash), false, ret_service);
    if (!e && *ret_has_id)
        e = uri_decode(&x->arena, slice_from(behind, middle.size), false, ret_id);
    return e;
}

enum status instances_page(struct gateway *gateway, struct exchange *x, bool is_trusted)
{
    struct slice service, id = SLICE_NONE;
    bool has_id;
    enum status e = split(x, &service, &id, &has_id);
    if (e)
        return e == INVALID ? BAD_PATH : e;
    struct instances *instances = gateway_instances(gateway, service);
    if (!instances)
        return refuse(x, NO_ROUTE,
            arena_format(&x->arena,
                "No service has a source registry://%.*s, to which instances could register.",
                SLICE_ARG(slice_head(service, 100))));
    if (has_id)
        return is_trusted || is_admitted(x, instances) ? change(gateway, x, service, id)
                                                       : ADDRESS_DENIED;
    if (x->request.method != METHOD_GET && x->request.method != METHOD_HEAD)
        return METHOD_NOT_ALLOWED;
    return look(x, instances);
}
