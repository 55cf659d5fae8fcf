#include "policy/webhook_identity.h"

#include "base/json.h"
#include "run/tls.h"

/* A member of the body's object that is a text; empty: there is none. */
static struct slice read_member(
    const struct webhook_form *form, struct slice body, struct arena *scratch)
{
    struct json_value *root;
    struct slice id;
    const struct json_limits limits = {.depth = 64};
    if (!form->id_member || json_parse(scratch, body, &limits, &root, NULL) ||
        !json_get_text(root, slice_of_text(form->id_member), &id))
        return SLICE_NONE;
    return id.size <= WEBHOOK_ID_MAX ? id : SLICE_NONE;
}

static enum status read_content(const struct webhook_form *form, const struct webhook_claim *claim,
    struct slice body, struct arena *arena, struct slice *ret_identity)
{
    char digest[TLS_DIGEST_SIZE];
    struct text text = text_growing(0);
    webhook_claim_add_prefix(form, claim, &text);
    text_add(&text, body);
    enum status e = text.failed ? NO_MEMORY : tls_digest(text_slice(&text), digest);
    text_release(&text);
    if (e)
        return NO_MEMORY;
    *ret_identity = arena_format(arena, "content %s", digest);
    return ret_identity->data ? OK : NO_MEMORY;
}

enum status webhook_identity(const struct webhook_form *form, const struct webhook_claim *claim,
    struct slice body, bool by_content, struct arena *arena, struct slice *ret_identity)
{
    struct arena scratch;
    arena_init(&scratch, 0, 0);
    struct slice id = by_content       ? SLICE_NONE
                      : claim->id.size ? claim->id
                                       : read_member(form, body, &scratch);
    enum status e = OK;
    if (id.size)
        *ret_identity = arena_format(arena, "id %.*s", SLICE_ARG(id));
    else
        e = read_content(form, claim, body, arena, ret_identity);
    arena_release(&scratch);
    if (!e && !ret_identity->data)
        e = NO_MEMORY;
    return e;
}
