#include "base/json_writer.h"
#include "config/expression.h"
#include "handler/handler.h"
#include "policy/reserved_fields.h"

/* Answers by itself: a status, perhaps a body (text, or a problem document, RFC 9457), perhaps
 * fields. Alone, a number is the status and a text is the body of a 200. */

struct problem {
    struct slice type;
    struct template *title, *detail; /* or NULL */
};

struct respond {
    int64_t status;
    struct template *body; /* or NULL */
    struct slice type;
    bool has_type;
    struct option_map headers; /* of struct template * */
    struct problem problem;
    bool has_problem;
};

static const struct option problem_options[] = {
    {"type", OPTION_TEXT, offsetof(struct problem, type), .fallback = "about:blank",
        .help = "A URI that names the kind of problem."},
    {"title", OPTION_TEMPLATE, offsetof(struct problem, title),
        .help = "A short text that is the same for all of that kind; else the status' own phrase."},
    {"detail", OPTION_TEMPLATE, offsetof(struct problem, detail),
        .help = "What is wrong this time."},
    {NULL},
};

static const struct option_table problem_table = {
    .name = "problem",
    .help = "A problem document (application/problem+json, RFC 9457).",
    .options = problem_options,
    .size = sizeof(struct problem),
    .shorthand = "title",
};

static const struct option header_item = {.name = "value", .kind = OPTION_TEMPLATE};

static const struct option options[] = {
    {"status", OPTION_INTEGER, offsetof(struct respond, status), .fallback = "200", .minimum = 200,
        .maximum = 599, .help = "The status code."},
    {"body", OPTION_TEMPLATE, offsetof(struct respond, body), .help = "The body, a text."},
    {"type", OPTION_TEXT, offsetof(struct respond, type), .fallback = "text/plain; charset=utf-8",
        .is_set_offset = offsetof(struct respond, has_type), .help = "The body's media type."},
    {"headers", OPTION_MAP, offsetof(struct respond, headers), .item = &header_item,
        .item_size = sizeof(struct template *), .help = "Fields of the answer."},
    {"problem", OPTION_STRUCT, offsetof(struct respond, problem), .table = &problem_table,
        .is_set_offset = offsetof(struct respond, has_problem),
        .help = "A problem document as the body; its status is that of the answer."},
    {NULL},
};

static bool is_status(struct slice text)
{
    uint64_t number;
    return text.size == 3 && slice_to_u64(text, &number);
}

/* A number or a text alone. */
static enum status read_phrase(struct reader *reader, const struct node *node, void *value)
{
    struct respond *respond = value;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    if (!node->is_quoted && is_status(node->text))
        return option_read_value(reader, &options[0], node, &respond->status);
    return option_read_value(reader, &options[1], node, &respond->body);
}

static struct place place_of(const struct node *node, const char *option)
{
    const struct node *value =
        node->kind == NODE_MAP ? node_get(node, slice_of_text(option)) : NULL;
    return value ? value->place : node->place;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    const struct respond *respond = value;
    struct diagnostics *diagnostics = reader->diagnostics;
    enum status e = OK;
    bool has_body = respond->body || respond->has_problem;
    if (respond->body && respond->has_problem)
        e = diagnostics_error(diagnostics, place_of(node, "problem"), SLICE_NONE,
            "an answer has a \"body\" or a \"problem\", not both");
    if (respond->has_problem && respond->has_type)
        e = diagnostics_error(diagnostics, place_of(node, "type"), SLICE_NONE,
            "the type of a problem is application/problem+json");
    if (has_body && http_response_has_no_body(METHOD_GET, (int)respond->status))
        e = diagnostics_error(diagnostics, place_of(node, "status"), SLICE_NONE,
            "an answer with the status %d has no body", (int)respond->status);
    if (!field_value_is_valid(respond->type))
        e = diagnostics_error(
            diagnostics, place_of(node, "type"), SLICE_NONE, "this cannot be a media type");
    for (size_t i = 0; i < respond->headers.count; i++) {
        const struct option_map_entry *entry = &respond->headers.entries[i];
        const char *problem = reserved_field_problem(entry->key);
        if (problem)
            e = diagnostics_error(diagnostics, entry->place, SLICE_NONE,
                "the field \"%.*s\" cannot be set: %s", SLICE_ARG(entry->key), problem);
    }
    return e;
}

static const struct option_table table = {
    .name = "respond",
    .help = "Answers by itself, without a service. A number alone is the status, a text alone the "
            "body.",
    .options = options,
    .size = sizeof(struct respond),
    .read_phrase = read_phrase,
    .check = check,
    .example = "respond: {status: 410, problem: {title: Gone, detail: \"${path} moved in 2024.\"}}",
};

static enum status write_member(struct json_writer *writer, const char *name,
    const struct template *template, struct exchange *x)
{
    if (!template)
        return OK;
    struct slice value = template_render(template, x);
    if (!value.data)
        return NO_MEMORY;
    json_put_text(writer, name, value);
    return OK;
}

static enum status write_problem(
    const struct respond *respond, struct exchange *x, struct text *text)
{
    const struct problem *problem = &respond->problem;
    struct json_writer writer;
    json_writer_init(&writer, text, 0);
    json_write_object(&writer);
    json_put_text(&writer, "type", problem->type);
    if (!problem->title)
        json_put_text(&writer, "title", http_reason_phrase((int)respond->status));
    enum status e = write_member(&writer, "title", problem->title, x);
    json_put_i64(&writer, "status", respond->status);
    enum status f = write_member(&writer, "detail", problem->detail, x);
    json_write_object_end(&writer);
    text_add_char(text, '\n');
    return e ? e : f;
}

static enum status problem_body(
    const struct respond *respond, struct exchange *x, struct slice *ret_body)
{
    struct text text = text_growing(0);
    enum status e = write_problem(respond, x, &text);
    struct slice body = e || text.failed ? SLICE_NONE : arena_copy(&x->arena, text_slice(&text));
    text_release(&text);
    if (!body.data)
        return NO_MEMORY;
    *ret_body = body;
    return OK;
}

static enum status body_of(
    const struct respond *respond, struct exchange *x, struct slice *ret_body)
{
    if (respond->has_problem)
        return problem_body(respond, x, ret_body);
    *ret_body = SLICE_NONE;
    if (!respond->body)
        return OK;
    *ret_body = template_render(respond->body, x);
    return ret_body->data ? OK : NO_MEMORY;
}

/* A value that no field may have is left out. */
static enum status add_headers(const struct respond *respond, struct exchange *x)
{
    for (size_t i = 0; i < respond->headers.count; i++) {
        const struct option_map_entry *entry = &respond->headers.entries[i];
        struct slice value = template_render(*(struct template *const *)entry->value, x);
        if (!value.data)
            return NO_MEMORY;
        value = slice_trim(value);
        if (!value.size || !field_value_is_valid(value))
            continue;
        enum status e = fields_set(&x->response.fields, entry->key, value);
        if (e)
            return e;
    }
    return OK;
}

static enum status serve(const void *config, struct exchange *x)
{
    const struct respond *respond = config;
    struct slice body;
    enum status e = body_of(respond, x, &body);
    if (e)
        return e;
    struct slice type = respond->has_problem ? SLICE("application/problem+json")
                        : respond->body      ? respond->type
                                             : SLICE_NONE;
    e = exchange_respond(x, (int)respond->status, type, body);
    return e ? e : add_headers(respond, x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct respond *respond = config;
    (void)x;
    text_format(text, "answers %lld", (long long)respond->status);
}

const struct handler_type respond_handler = {
    .name = "respond",
    .options = &table,
    .serve = serve,
    .explain = explain,
};
