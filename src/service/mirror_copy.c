#include "service/mirror_copy.h"

#include "run/loop.h"
#include "service/aside.h"
#include "service/mirror.h"
#include "service/retry_options.h"
#include "service/witness.h"

#include <stdlib.h>

/* --- making it */

/* What is not there stays so. */
static bool copy_text(struct arena *arena, struct slice from, struct slice *ret_text)
{
    *ret_text = from.data ? arena_copy(arena, from) : SLICE_NONE;
    return !from.data || ret_text->data;
}

static bool copy_request(
    struct arena *arena, const struct http_request *from, struct http_request *to)
{
    to->method = from->method;
    to->version = from->version;
    return copy_text(arena, from->method_text, &to->method_text) &&
           copy_text(arena, from->target, &to->target) &&
           copy_text(arena, from->scheme, &to->scheme) && copy_text(arena, from->host, &to->host) &&
           copy_text(arena, from->authority, &to->authority) &&
           copy_text(arena, from->path, &to->path) && copy_text(arena, from->query, &to->query) &&
           fields_append_copies(&to->fields, &from->fields) == OK;
}

/* Names are part of the configuration, which is held. */
static bool copy_parameters(const struct exchange *from, struct exchange *to)
{
    to->parameter_count = from->parameter_count;
    for (unsigned i = 0; i < from->parameter_count; i++) {
        to->parameters[i].name = from->parameters[i].name;
        if (!copy_text(&to->arena, from->parameters[i].value, &to->parameters[i].value))
            return false;
    }
    return true;
}

static bool fill(struct request_copy *copy, const struct exchange *from, struct slice mark)
{
    struct exchange *x = &copy->x;
    static const struct retry_rule once = {.times = 0};
    x->is_copy = true;
    x->retry = &once;
    x->is_peer_trusted = from->is_peer_trusted;
    x->is_secure = from->is_secure;
    x->grpc = from->grpc;
    if (!copy_request(&x->arena, &from->request, &x->request))
        return false;
    fields_remove_known(&x->request.fields, FIELD_EXPECT);
    if (from->has_lent_token)
        fields_remove_known(&x->request.fields, FIELD_AUTHORIZATION);
    return copy_parameters(from, x) && copy_text(&x->arena, from->request_id, &x->request_id) &&
           fields_add(&x->request.fields, FIELD_OTHER, SLICE(MIRROR_FIELD), mark) == OK;
}

struct request_copy *request_copy_new(
    struct exchange *x, const struct service *to, struct slice from, struct slice body)
{
    struct request_copy *copy = calloc(1, sizeof *copy);
    if (!copy)
        return NULL;
    exchange_init_for(&copy->x, x);
    copy->to = to;
    struct slice bytes;
    if (!fill(copy, x, from) || !copy_text(&copy->x.arena, body, &bytes)) {
        request_copy_free(copy);
        return NULL;
    }
    copy->x.request.body = body_init_slice(&copy->body, bytes);
    if (!bytes.size)
        body_init_empty(&copy->body.body);
    return copy;
}

void request_copy_free(struct request_copy *copy)
{
    exchange_release(&copy->x);
    free(copy);
}

/* --- its way */

static void call_service(struct request_copy *copy)
{
    struct exchange *x = &copy->x;
    instant began = loop_now();
    enum status e = service_call(copy->to, x);
    copy->took = loop_now() - began;
    copy->status = e ? 0 : x->response.status;
    if (!e && copy->is_hashed)
        copy->is_whole = witness_read_all(x->response.body, x->deadline, &copy->hash) == END;
}

static void run(void *argument)
{
    struct request_copy *copy = argument;
    call_service(copy);
    exchange_release(&copy->x);
    copy->done(copy->argument, copy);
    free(copy);
}

enum status request_copy_start(struct request_copy *copy)
{
    return aside_start(aside_plane(copy->to), copy->x.pinned, copy->x.worker, run, copy);
}
