#include "policy/idempotency_fingerprint.h"

#include "base/text.h"
#include "http/uri.h"
#include "policy/idempotency_parts.h"

#include <stdlib.h>

struct parameter {
    struct slice name, value;
    size_t place; /* in the query: sorting keeps the order of equal names */
};

static int compare(const void *a, const void *b)
{
    const struct parameter *one = a, *other = b;
    int order = slice_compare(one->name, other->name);
    if (order)
        return order;
    return one->place < other->place ? -1 : one->place > other->place;
}

static size_t count_parameters(struct slice query)
{
    struct slice name, value;
    size_t count = 0;
    while (uri_query_next(&query, &name, &value))
        count++;
    return count;
}

/* What cannot be decoded stays as it is. */
static struct slice decoded(struct arena *arena, struct slice raw)
{
    struct slice text = raw;
    return uri_decode(arena, raw, true, &text) == NO_MEMORY ? SLICE_NONE : text;
}

static enum status read_parameters(
    struct arena *arena, struct slice query, struct parameter *parameters)
{
    struct slice name, value;
    for (size_t i = 0; uri_query_next(&query, &name, &value); i++) {
        parameters[i].name = decoded(arena, name);
        parameters[i].value = decoded(arena, value);
        parameters[i].place = i;
        if ((name.size && !parameters[i].name.data) || (value.size && !parameters[i].value.data))
            return NO_MEMORY;
    }
    return OK;
}

struct slice idempotency_query(struct arena *arena, struct slice query)
{
    size_t count = count_parameters(query);
    if (count == 0)
        return SLICE("");
    struct parameter *parameters = arena_array(arena, count, sizeof *parameters);
    struct slice *parts = arena_array(arena, count, 2 * sizeof *parts);
    if (!parameters || !parts || read_parameters(arena, query, parameters))
        return SLICE_NONE;
    qsort(parameters, count, sizeof *parameters, compare);
    for (size_t i = 0; i < count; i++) {
        parts[2 * i] = parameters[i].name;
        parts[2 * i + 1] = parameters[i].value;
    }
    return idempotency_join(arena, parts, 2 * count);
}

/* A field that is not there differs from an empty one. */
static struct slice field_part(struct exchange *x, struct slice name)
{
    struct slice value = fields_combined(&x->request.fields, name);
    struct slice parts[] = {SLICE("field"), name, value.data ? SLICE("is") : SLICE("none"), value};
    return idempotency_join(&x->arena, parts, sizeof parts / sizeof *parts);
}

static struct slice fields_part(struct exchange *x, const struct idempotency_request *request)
{
    size_t count = request->fields ? request->fields->count : 0, used = 0;
    const struct slice *names = request->fields ? request->fields->items : NULL;
    struct slice *parts = arena_array(&x->arena, count + 1, sizeof *parts);
    if (!parts)
        return SLICE_NONE;
    for (size_t i = 0; i < count; i++)
        parts[used++] = field_part(x, names[i]);
    if (request->is_anonymous)
        parts[used++] = field_part(x, field_name(FIELD_AUTHORIZATION));
    for (size_t i = 0; i < used; i++)
        if (!parts[i].data)
            return SLICE_NONE;
    return idempotency_join(&x->arena, parts, used);
}

enum status idempotency_fingerprint(
    struct exchange *x, const struct idempotency_request *request, char ret_text[TLS_DIGEST_SIZE])
{
    char body[TLS_DIGEST_SIZE];
    struct slice query = idempotency_query(&x->arena, x->request.query);
    struct slice fields = fields_part(x, request);
    if (!query.data || !fields.data || tls_digest(request->body, body))
        return NO_MEMORY;
    struct slice parts[] = {x->request.method_text, x->request.path, query, fields,
        slice_of(body, TLS_DIGEST_SIZE - 1)};
    struct slice whole = idempotency_join(&x->arena, parts, sizeof parts / sizeof *parts);
    return whole.data ? tls_digest(whole, ret_text) : NO_MEMORY;
}
