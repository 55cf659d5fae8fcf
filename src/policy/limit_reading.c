#include "policy/limit_reading.h"

enum status limit_bodies_find(const struct expression *cost, struct limit_bodies *ret_bodies)
{
    enum status e = expression_body_paths(cost, true, &ret_bodies->request);
    return e ? e : expression_body_paths(cost, false, &ret_bodies->response);
}

/* --- what is seen */

static void see_text(void *viewer, struct slice bytes)
{
    struct json_watch *watch = viewer;
    if (bytes.size)
        json_watch_feed(watch, bytes);
    else
        json_watch_end(watch);
}

static void end_text(void *argument)
{
    json_watch_end(argument);
}

static void see_events(void *viewer, struct slice bytes)
{
    event_data_feed(viewer, bytes);
}

/* --- which bodies can be read */

static bool has_coding(const struct fields *fields)
{
    struct slice coding = fields_value(fields, FIELD_CONTENT_ENCODING);
    return coding.size && !slice_equal_nocase(coding, SLICE("identity"));
}

static struct slice type_of(const struct fields *fields)
{
    struct slice type = fields_value(fields, FIELD_CONTENT_TYPE);
    return slice_trim(slice_head(type, slice_find(type, ';')));
}

static bool is_events(struct slice type)
{
    return slice_equal_nocase(type, SLICE("text/event-stream"));
}

static bool is_json(struct slice type)
{
    static const struct slice types[] = {SLICE_INIT("application/json"),
        SLICE_INIT("application/x-ndjson"), SLICE_INIT("application/jsonl"),
        SLICE_INIT("text/json")};
    struct slice suffix = SLICE("+json");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (slice_equal_nocase(type, types[i]))
            return true;
    return type.size > suffix.size &&
           slice_equal_nocase(slice_from(type, type.size - suffix.size), suffix);
}

/* --- reading */

void limit_reading_begin(
    struct limit_reading *reading, const struct limit_bodies *bodies, struct exchange *x)
{
    const struct json_paths *request = &bodies->request, *response = &bodies->response;
    json_watch_init(&reading->request_json, request->items, request->count);
    json_watch_init(&reading->response_json, response->items, response->count);
    if (response->count)
        (void)fields_set_known(&x->request.fields, FIELD_ACCEPT_ENCODING, SLICE("identity"));
    if (!request->count || body_is_empty(x->request.body) || has_coding(&x->request.fields))
        return;
    x->request.body = witness_begin(&reading->request, x->request.body, false, NULL, NULL);
    witness_show(&reading->request, see_text, &reading->request_json);
}

void limit_reading_watch(struct limit_reading *reading, const struct limit_bodies *bodies,
    struct exchange *x, struct witness *witness)
{
    const struct fields *fields = &x->response.fields;
    struct slice type = type_of(fields);
    if (!bodies->response.count || has_coding(fields))
        return;
    if (is_events(type)) {
        event_data_init(&reading->events, see_text, end_text, &reading->response_json);
        witness_show(witness, see_events, &reading->events);
    } else if (is_json(type)) {
        witness_show(witness, see_text, &reading->response_json);
    }
}

void limit_reading_show(struct limit_reading *reading, struct exchange *x)
{
    json_watch_end(&reading->request_json);
    json_watch_end(&reading->response_json);
    x->request_json = &reading->request_json;
    x->response_json = &reading->response_json;
}

void limit_reading_hide(struct exchange *x)
{
    x->request_json = x->response_json = NULL;
}
