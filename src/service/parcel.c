#include "service/call.h"

#include "service/kept_body.h"

#define MEMORY_MAX \
    ((size_t)64 * 1024) /* more is streamed: an endpoint may answer before it has read it all */

/* These say that they have no body; of others that goes without saying (RFC 9110 §8.6). */
static bool announces_empty_body(enum http_method method)
{
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

/* All of the body, and little enough to be kept until it is sent. Trailers go with a stream. */
static bool is_whole(const struct call *call, struct slice here)
{
    const struct body *body = call->x->request.body;
    if (here.size == 0 || here.size > MEMORY_MAX)
        return false;
    if (body->length != BODY_LENGTH_UNKNOWN)
        return here.size == (size_t)body->length;
    return !body->trailers || body->trailers->count == 0;
}

/* Kept for another try or service if there may be one, and it may be little enough. Without memory
 * for that it is sent once. */
static struct body *stream_of(struct call *call)
{
    struct exchange *x = call->x;
    struct body *body = x->request.body;
    bool has_use = call->retry.rule->times || call->hedge || call->service->fallback;
    int64_t max = has_use ? call->service->options->retry.keep : 0;
    bool is_small = body->length == BODY_LENGTH_UNKNOWN || body->length <= max;
    struct kept_body *kept =
        max && is_small && !body->ops->rewind ? arena_alloc(&x->arena, sizeof *kept) : NULL;
    call->parcel.kept = kept;
    return kept ? kept_body_init(kept, body, &x->arena, (size_t)max) : body;
}

void parcel_plan(struct call *call)
{
    struct exchange *x = call->x;
    struct parcel *parcel = &call->parcel;
    struct body *body = x->request.body;
    struct slice here;
    bool is_last = false;
    parcel->framing = (struct h1_framing){.kind = H1_CHUNKED, .keep_alive = true};
    if (body->length != BODY_LENGTH_UNKNOWN) {
        parcel->framing.kind = H1_LENGTH;
        parcel->framing.length = (uint64_t)body->length;
    }
    here = body_peek(body, &is_last);
    parcel->framing.is_upgrade = x->is_websocket;
    parcel->kind = PARCEL_STREAM;
    if (body_is_empty(body)) {
        parcel->kind = PARCEL_EMPTY;
        if (!announces_empty_body(x->request.method))
            parcel->framing.kind = H1_NO_BODY;
    } else if (is_last && is_whole(call, here)) {
        parcel->kind = PARCEL_MEMORY;
        parcel->bytes = here;
    }
    /* Who has the whole body waits for nobody's leave to send it. */
    if (parcel->kind == PARCEL_STREAM) {
        parcel->awaits_continue = x->expects_continue;
        parcel->stream = stream_of(call);
    } else
        fields_remove_known(&x->request.fields, FIELD_EXPECT);
}

static bool rewind_stream(struct body *stream)
{
    return stream->ops->rewind && stream->ops->rewind(stream) == OK;
}

bool parcel_rewind(struct attempt *attempt)
{
    const struct parcel *parcel = &attempt->call->parcel;
    if (attempt->twin)
        return rewind_stream(attempt->twin);
    return parcel->kind != PARCEL_STREAM || !parcel->has_begun || rewind_stream(parcel->stream);
}

bool parcel_hand_on(struct call *call)
{
    if (!parcel_rewind(call->attempt))
        return false;
    if (call->parcel.kind == PARCEL_STREAM)
        call->x->request.body = call->parcel.stream;
    return true;
}

struct body *parcel_stream(const struct attempt *attempt)
{
    return attempt->twin ? attempt->twin : attempt->call->parcel.stream;
}

bool parcel_is_whole(const struct attempt *first)
{
    const struct parcel *parcel = &first->call->parcel;
    bool is_kept = parcel->kept && !parcel->kept->is_lost && upload_is_complete(&first->upload);
    return parcel->kind != PARCEL_STREAM || is_kept;
}

enum status parcel_share(struct attempt *second)
{
    const struct parcel *parcel = &second->call->parcel;
    if (parcel->kind != PARCEL_STREAM)
        return OK;
    struct kept_body *twin = arena_alloc(&second->call->x->arena, sizeof *twin);
    if (!twin)
        return NO_MEMORY;
    second->twin = kept_body_twin(twin, parcel->kept);
    return OK;
}
