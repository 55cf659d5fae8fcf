#include "policy/verdict.h"

#include "jose/jwt.h"
#include "policy/auth_way.h"

/* --- the question */

/* About the message that the client has sent, or about what it wants of the service's answer; of
 * the question it would not be true. */
static bool is_of_the_message(const struct field *field)
{
    switch ((int)field->id) {
    case FIELD_HOST:
    case FIELD_CONTENT_LENGTH:
    case FIELD_CONTENT_ENCODING:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_TRAILER:
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_UPGRADE:
    case FIELD_EXPECT:
    case FIELD_ACCEPT_ENCODING:
    case FIELD_RANGE:
    case FIELD_IF_MATCH:
    case FIELD_IF_NONE_MATCH:
    case FIELD_IF_MODIFIED_SINCE:
    case FIELD_IF_UNMODIFIED_SINCE:
    case FIELD_IF_RANGE:
    case FIELD_X_REQUEST_ID:
    case FIELD_SEC_WEBSOCKET_KEY:
    case FIELD_SEC_WEBSOCKET_VERSION:
    case FIELD_SEC_WEBSOCKET_EXTENSIONS:
        return true;
    default:
        return false;
    }
}

static bool is_among(const struct option_list *names, struct slice name)
{
    const struct slice *items = names->items;
    for (size_t i = 0; i < names->count; i++)
        if (slice_equal_nocase(items[i], name))
            return true;
    return false;
}

static enum status copy_request(
    const struct verdict_options *options, const struct exchange *x, struct fields *to)
{
    const struct fields *from = &x->request.fields;
    enum status e = OK;
    for (uint32_t i = 0; !e && i < from->count; i++) {
        const struct field *field = &from->items[i];
        bool is_wanted = !options->headers.count || is_among(&options->headers, field->name);
        if (field->name.size && is_wanted && !is_of_the_message(field))
            e = fields_add_checked(to, field->id, field->name, field->value);
    }
    return e;
}

/* In place of what a client wrote there, under whatever spelling. */
static enum status put(struct fields *fields, const char *name, struct slice value)
{
    struct slice field = slice_of_text(name);
    auth_strip(fields, field);
    if (!value.data)
        return NO_MEMORY;
    return value.size ? fields_add(fields, field_id_of(field), field, value) : OK;
}

static struct slice uri_of(const struct exchange *x, struct arena *arena)
{
    const struct http_request *request = &x->request;
    if (!request->query.data)
        return request->path;
    return arena_join(arena, (struct slice[]){request->path, SLICE("?"), request->query}, 3);
}

static struct slice forwarded_for(const struct exchange *x, struct arena *arena)
{
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    struct slice there = fields_combined(&x->request.fields, SLICE("x-forwarded-for"));
    if (there.size)
        return there;
    address_format_ip(&x->client, &text);
    return arena_copy(arena, text_slice(&text));
}

static enum status put_forwarded(
    const struct exchange *x, struct fields *fields, struct arena *arena)
{
    const struct http_request *request = &x->request;
    enum status e = put(fields, "X-Forwarded-Method", request->method_text);
    if (!e)
        e = put(fields, "X-Forwarded-Proto", request->scheme);
    if (!e)
        e = put(
            fields, "X-Forwarded-Host", request->authority.size ? request->authority : SLICE(""));
    if (!e)
        e = put(fields, "X-Forwarded-Uri", uri_of(x, arena));
    if (!e)
        e = put(fields, "X-Forwarded-For", forwarded_for(x, arena));
    return e;
}

static enum status put_set(
    const struct verdict_options *options, struct exchange *x, struct fields *fields)
{
    enum status e = OK;
    for (size_t i = 0; !e && i < options->set.count; i++) {
        const struct option_map_entry *entry = &options->set.entries[i];
        struct slice value = template_render(*(const struct template *const *)entry->value, x);
        auth_strip(fields, entry->key);
        if (!value.data)
            e = NO_MEMORY;
        else if (value.size &&
                 fields_add(fields, field_id_of(entry->key), entry->key, value) == NO_MEMORY)
            e = NO_MEMORY;
    }
    return e;
}

/* --- the answer */

/* Null data: the answer has no such field. */
static struct slice claim_in_fields(
    const struct verdict *verdict, const struct option_map_entry *entry)
{
    return fields_combined(&verdict->fields, *(const struct slice *)entry->value);
}

static bool is_in_fields(
    const struct verdict_options *options, const struct verdict *verdict, struct slice claim)
{
    for (size_t i = 0; i < options->claims.count; i++)
        if (slice_equal(options->claims.entries[i].key, claim))
            return claim_in_fields(verdict, &options->claims.entries[i]).data != NULL;
    return false;
}

/* The claims that fields bring go before those of the body. */
static void write_claims(struct json_writer *writer, const struct verdict_options *options,
    const struct verdict *verdict, const struct json_value *body)
{
    json_write_object(writer);
    json_each (member, body) {
        if (is_in_fields(options, verdict, member->key))
            continue;
        json_write_key(writer, member->key);
        json_write_value(writer, member);
    }
    for (size_t i = 0; i < options->claims.count; i++) {
        struct slice value = claim_in_fields(verdict, &options->claims.entries[i]);
        if (!value.data)
            continue;
        json_write_key(writer, options->claims.entries[i].key);
        json_write_string(writer, value);
    }
    json_write_object_end(writer);
}

static enum status make_claims(
    const struct verdict_options *options, struct arena *arena, struct verdict *verdict)
{
    const struct json_value *body = NULL;
    if (options->has_claims_in_body) {
        enum status e = jwt_read(arena, verdict->body, &body);
        if (e)
            return e;
    }
    struct text text = text_growing(0);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    write_claims(&writer, options, verdict, body);
    struct slice copy =
        json_writer_is_done(&writer) ? arena_copy(arena, text_slice(&text)) : SLICE_NONE;
    text_release(&text);
    return copy.data ? jwt_read(arena, copy, &verdict->claims) : NO_MEMORY;
}

static enum status judge(const struct verdict_options *options, struct arena *arena,
    const struct inquiry_answer *answer, struct verdict *ret_verdict)
{
    struct verdict verdict = {
        .status = answer->status, .fields = answer->fields, .body = answer->body};
    if (answer->status >= 500 || answer->status < 200)
        return UPSTREAM_PROTOCOL;
    if (verdict_is_good(&verdict)) {
        enum status e = make_claims(options, arena, &verdict);
        if (e)
            return e == NO_MEMORY ? e : UPSTREAM_PROTOCOL;
    }
    *ret_verdict = verdict;
    return OK;
}

enum status verdict_ask(const struct verdict_options *options, struct exchange *x,
    const struct exchange *asker, struct arena *arena, struct verdict *ret_verdict)
{
    static const struct slice methods[] = {[VERDICT_GET] = SLICE_INIT("GET"),
        [VERDICT_HEAD] = SLICE_INIT("HEAD"),
        [VERDICT_POST] = SLICE_INIT("POST")};
    struct fields fields;
    struct inquiry_answer answer;
    fields_init(&fields, &x->arena);
    enum status e = copy_request(options, x, &fields);
    if (!e)
        e = put_forwarded(x, &fields, &x->arena);
    if (!e)
        e = put_set(options, x, &fields);
    if (e)
        return e;
    const struct inquiry inquiry = {.fields = &fields,
        .timeout = options->timeout,
        .method =
            options->method == VERDICT_REQUEST ? x->request.method_text : methods[options->method]};
    e = inquiry_ask(&options->target, asker, &inquiry, arena, &answer);
    return e ? e : judge(options, arena, &answer, ret_verdict);
}

enum status verdict_copy_fields(const struct verdict *verdict, const struct option_list *names,
    enum field_id skipped, struct fields *to)
{
    enum status e = OK;
    for (uint32_t i = 0; !e && i < verdict->fields.count; i++) {
        const struct field *field = &verdict->fields.items[i];
        if (is_among(names, field->name) && (skipped == FIELD_OTHER || field->id != skipped))
            e = fields_add_checked(to, field->id, field->name, field->value);
    }
    return e;
}
