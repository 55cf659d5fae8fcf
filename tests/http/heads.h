/* Reading heads from memory, whole or in pieces, for tests and fuzz targets. */
#pragma once

#include "http/h1_parse.h"

/* One head's outcome. */
struct head {
    enum status verdict;
    size_t size;   /* of the head, when OK */
    size_t needed; /* how many bytes had been shown at the verdict */
    struct http_request request;
    struct http_response response;
    struct h1_framing framing;
};

/* Shows the parser the bytes in steps of `step`, at a new place each time if `step` is less than
 * all. */
static inline struct head head_read(struct arena *arena, enum h1_kind kind, enum http_method method,
    const struct h1_limits *limits, struct slice bytes, size_t step)
{
    struct head head = {.verdict = INCOMPLETE};
    struct h1_parser parser;
    struct fields *fields = kind == H1_REQUEST_HEAD ? &head.request.fields : &head.response.fields;
    fields_init(fields, arena);
    h1_parser_init(&parser, kind, limits, fields);
    size_t shown = 0;
    struct slice before = SLICE_NONE;
    while (head.verdict == INCOMPLETE && shown < bytes.size) {
        shown = step < bytes.size - shown ? shown + step : bytes.size;
        struct slice now = arena_copy(arena, slice_head(bytes, shown));
        head.verdict = h1_parse(&parser, now, &head.size);
        if (before.size)
            memset((char *)before.data, '@', before.size); /* nothing may point there any more */
        before = now;
    }
    head.needed = shown;
    if (head.verdict == OK && kind == H1_REQUEST_HEAD)
        head.verdict = h1_finish_request(&parser, arena, &head.request, &head.framing);
    else if (head.verdict == OK && kind == H1_RESPONSE_HEAD)
        head.verdict = h1_finish_response(&parser, method, &head.response, &head.framing);
    return head;
}

static inline bool heads_same_fields(const struct fields *a, const struct fields *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->items[i].id != b->items[i].id || !slice_equal(a->items[i].name, b->items[i].name) ||
            !slice_equal(a->items[i].value, b->items[i].value))
            return false;
    return true;
}

static inline bool heads_same(const struct head *a, const struct head *b)
{
    const struct http_request *p = &a->request, *q = &b->request;
    if (a->verdict != b->verdict)
        return false;
    if (a->verdict != OK)
        return true;
    return a->size == b->size && a->framing.kind == b->framing.kind &&
           a->framing.length == b->framing.length &&
           a->framing.keep_alive == b->framing.keep_alive &&
           a->framing.expects_continue == b->framing.expects_continue && p->method == q->method &&
           p->version == q->version && slice_equal(p->method_text, q->method_text) &&
           slice_equal(p->target, q->target) && slice_equal(p->host, q->host) &&
           slice_equal(p->authority, q->authority) && slice_equal(p->path, q->path) &&
           slice_equal(p->query, q->query) && !p->query.data == !q->query.data &&
           heads_same_fields(&p->fields, &q->fields) && a->response.status == b->response.status &&
           heads_same_fields(&a->response.fields, &b->response.fields);
}
