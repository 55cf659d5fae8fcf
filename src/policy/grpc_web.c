#include "base/base64.h"
#include "http/grpc.h"
#include "policy/policy.h"
#include "run/buffer.h"

/* gRPC-Web (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md): what browsers can speak
 * of gRPC, made into gRPC for the service and back. The messages are the same; trailers stand at
 * the end of the body, as one more frame, and the text form is all that in base64. */

#define ENCODED_PART ((size_t)12000) /* bytes whose base64 fits a small buffer */

struct grpc_web {
    bool is_enabled;
};

static const struct option options[] = {
    {"enabled", OPTION_FLAG, offsetof(struct grpc_web, is_enabled), .fallback = "true",
        .help = "Whether calls of gRPC-Web are translated."},
    {NULL}};

static const struct option_table table = {
    .name = "grpc-web",
    .help = "Translates calls that browsers make (gRPC-Web, binary and text) to gRPC. Usually "
            "together with `cors`.",
    .options = options,
    .size = sizeof(struct grpc_web),
    .shorthand = "enabled",
    .example = "grpc shop.Orders/*: {to: order, grpc-web: true}",
};

/* --- a request in base64 */

/* Four letters are three bytes. Padding may stand where a part ended. */
struct decoding {
    struct body body;
    struct body *inner; /* owned: dropped with this */
    struct buffer *buffer;
    struct slice left; /* of what the inner body yielded */
    uint32_t bits;
    unsigned count; /* letters in `bits` */
};

/* The bytes of a group that is whole or was padded; false: it makes none. */
static bool end_group(struct decoding *self, char *room, size_t *size)
{
    if (self->count == 1)
        return false;
    self->bits <<= 6 * (4 - self->count);
    for (unsigned i = 0; i + 1 < self->count; i++)
        room[(*size)++] = (char)(self->bits >> (16 - 8 * i));
    self->bits = self->count = 0;
    return true;
}

static enum status decode(struct decoding *self, struct slice *ret_bytes)
{
    char *room = self->buffer->data;
    size_t size = 0, at = 0;
    for (; at < self->left.size && size + 3 <= self->buffer->capacity; at++) {
        char c = self->left.data[at];
        int value = base64_value(c, 0);
        if (c == '=' && self->count == 0)
            continue;
        if (value < 0 && c != '=')
            return BAD_FRAMING;
        if (value >= 0) {
            self->bits = self->bits << 6 | (uint32_t)value;
            self->count++;
        }
        if ((c == '=' || self->count == 4) && !end_group(self, room, &size))
            return BAD_FRAMING;
    }
    self->left = slice_from(self->left, at);
    *ret_bytes = slice_of(room, size);
    return OK;
}

static enum status read_decoded(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct decoding *self = (struct decoding *)body;
    struct slice bytes = SLICE_NONE;
    enum status e = OK;
    if (!self->buffer)
        self->buffer = buffer_take_small();
    if (!self->buffer)
        return NO_MEMORY;
    while (!e && bytes.size == 0) {
        if (self->left.size == 0)
            e = body_read(self->inner, deadline, &self->left);
        if (e == END && self->count)
            return BAD_FRAMING;
        if (!e)
            e = decode(self, &bytes);
    }
    if (!e)
        *ret_bytes = bytes;
    return e;
}

static void drop_decoded(struct body *body)
{
    struct decoding *self = (struct decoding *)body;
    buffer_give(self->buffer);
    self->buffer = NULL;
    body_drop(self->inner);
}

static enum status decode_request(struct exchange *x)
{
    static const struct body_ops ops = {.read = read_decoded, .drop = drop_decoded};
    struct decoding *self = arena_new(&x->arena, struct decoding);
    if (!self)
        return NO_MEMORY;
    self->body = (struct body){.ops = &ops, .length = BODY_LENGTH_UNKNOWN};
    self->inner = x->request.body;
    x->request.body = &self->body;
    return OK;
}

static enum status translate_request(struct exchange *x, struct slice rest)
{
    struct fields *fields = &x->request.fields;
    const struct slice parts[] = {SLICE("application/grpc"), rest};
    struct slice type = arena_join(&x->arena, parts, 2);
    enum status e = type.data ? fields_set_made(fields, FIELD_CONTENT_TYPE, type) : NO_MEMORY;
    if (!e)
        e = fields_set_made(fields, FIELD_TE, SLICE("trailers"));
    if (!e && x->grpc == GRPC_WEB_TEXT)
        e = decode_request(x);
    return e;
}

/* --- the answer */

struct encoding {
    struct body body;
    struct body *inner; /* owned: dropped with this */
    struct exchange *x; /* borrowed */
    struct buffer *buffer;
    struct slice left;  /* not encoded yet */
    struct slice frame; /* of trailers that came as the head; else empty */
    bool has_ended;
};

/* What comes next in binary: parts of the messages, then the trailers. */
static enum status next_part(struct encoding *self, instant deadline, struct slice *ret_bytes)
{
    if (self->has_ended)
        return END;
    enum status e = body_read(self->inner, deadline, ret_bytes);
    if (e != END)
        return e;
    self->has_ended = true;
    *ret_bytes = self->frame;
    if (self->frame.size)
        return OK;
    if (self->inner->trailers)
        self->x->facts.grpc_status = fields_value(self->inner->trailers, FIELD_GRPC_STATUS);
    return grpc_web_trailers(
        &self->x->arena, &self->x->response.fields, self->inner->trailers, ret_bytes);
}

static enum status read_encoded(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct encoding *self = (struct encoding *)body;
    if (self->x->grpc != GRPC_WEB_TEXT)
        return next_part(self, deadline, ret_bytes);
    if (!self->buffer)
        self->buffer = buffer_take_small();
    if (!self->buffer)
        return NO_MEMORY;
    enum status e = self->left.size ? OK : next_part(self, deadline, &self->left);
    if (e)
        return e;
    struct slice part = slice_head(self->left, ENCODED_PART);
    self->left = slice_from(self->left, part.size);
    *ret_bytes = slice_of(self->buffer->data, base64_encode(part, 0, self->buffer->data));
    return OK;
}

static void drop_encoded(struct body *body)
{
    struct encoding *self = (struct encoding *)body;
    buffer_give(self->buffer);
    self->buffer = NULL;
    body_drop(self->inner);
}

/* An answer that is none of gRPC stays as it is. */
static enum status translate_answer(struct exchange *x)
{
    static const struct body_ops ops = {.read = read_encoded, .drop = drop_encoded};
    struct fields *fields = &x->response.fields;
    struct slice rest, name = SLICE("application/grpc-web");
    if (grpc_kind_of_type(fields_value(fields, FIELD_CONTENT_TYPE), &rest) != GRPC_CALL)
        return OK;
    if (x->grpc == GRPC_WEB_TEXT)
        name = SLICE("application/grpc-web-text");
    const struct slice parts[] = {name, rest.size ? rest : SLICE("+proto")};
    struct slice type = arena_join(&x->arena, parts, 2);
    struct encoding *self = arena_new(&x->arena, struct encoding);
    if (!self || !type.data || fields_set_made(fields, FIELD_CONTENT_TYPE, type))
        return NO_MEMORY;
    self->body = (struct body){.ops = &ops, .length = BODY_LENGTH_UNKNOWN};
    self->inner = x->response.body;
    self->x = x;
    x->response.body = &self->body;
    x->facts.grpc_status = fields_value(fields, FIELD_GRPC_STATUS);
    if (fields_find(fields, FIELD_GRPC_STATUS))
        return grpc_web_trailers(&x->arena, fields, NULL, &self->frame);
    return OK;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct grpc_web *web = config;
    struct slice rest;
    enum grpc_kind kind =
        grpc_kind_of_type(fields_value(&x->request.fields, FIELD_CONTENT_TYPE), &rest);
    if (!web->is_enabled || !x->grpc || (kind != GRPC_WEB && kind != GRPC_WEB_TEXT))
        return handler_serve(next, x);
    enum status e = translate_request(x, rest);
    if (!e)
        e = handler_serve(next, x);
    return e ? e : translate_answer(x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct grpc_web *web = config;
    enum grpc_kind kind = grpc_kind_of(&x->request);
    bool is_web = web->is_enabled && (kind == GRPC_WEB || kind == GRPC_WEB_TEXT);
    text_format(text, "%s", is_web ? "translates to gRPC" : "nothing to translate");
}

const struct policy_type grpc_web_policy = {
    .name = "grpc-web",
    .plural = "grpc-web",
    .options = &table,
    .serve = serve,
    .explain = explain,
};
