#include "service/kept_body.h"

struct kept_part {
    struct kept_part *next;
    struct slice bytes;
};

static struct kept_body *self_of(struct body *body)
{
    return (struct kept_body *)body;
}

/* Without memory it is as if there were too many. */
static void keep(struct kept_body *kept, struct slice bytes)
{
    struct kept_part *part = NULL;
    if (bytes.size <= kept->room)
        part = arena_alloc(kept->arena, sizeof *part);
    if (part)
        *part = (struct kept_part){NULL, arena_copy(kept->arena, bytes)};
    if (!part || !part->bytes.data) {
        kept->is_lost = true;
        return;
    }
    kept->room -= bytes.size;
    if (kept->last)
        kept->last->next = part;
    else
        kept->first = part;
    kept->last = part;
}

static enum status read_kept(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct kept_body *kept = self_of(body);
    if (kept->next) {
        *ret_bytes = kept->next->bytes;
        kept->next = kept->next->next;
        return OK;
    }
    enum status e = body_read(kept->inner, deadline, ret_bytes);
    kept->body.trailers = kept->inner->trailers;
    if (!e && !kept->is_lost)
        keep(kept, *ret_bytes);
    return e;
}

static struct slice peek_kept(struct body *body, bool *ret_last)
{
    struct kept_body *kept = self_of(body);
    *ret_last = false;
    if (kept->next)
        return kept->next->bytes;
    struct slice bytes = body_peek(kept->inner, ret_last);
    kept->body.trailers = kept->inner->trailers;
    return bytes;
}

static enum status wait_for_kept(struct body *body, instant deadline)
{
    struct kept_body *kept = self_of(body);
    return kept->next ? OK : body_wait(kept->inner, deadline);
}

static enum status rewind_kept(struct body *body)
{
    struct kept_body *kept = self_of(body);
    if (kept->is_lost)
        return INVALID;
    kept->next = kept->first;
    return OK;
}

static const struct body_ops ops = {
    .read = read_kept, .peek = peek_kept, .wait = wait_for_kept, .rewind = rewind_kept};

struct body *kept_body_init(
    struct kept_body *kept, struct body *inner, struct arena *arena, size_t max)
{
    *kept = (struct kept_body){.body = {.ops = &ops, .length = inner->length},
        .inner = inner,
        .arena = arena,
        .room = max};
    return &kept->body;
}

struct body *kept_body_twin(struct kept_body *twin, const struct kept_body *kept)
{
    *twin = (struct kept_body){.body = {.ops = &ops, .length = kept->body.length},
        .inner = &twin->rest,
        .first = kept->first,
        .next = kept->first};
    body_init_empty(&twin->rest);
    twin->rest.trailers = kept->inner->trailers;
    return &twin->body;
}
