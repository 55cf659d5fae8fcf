#include "policy/keyring_fetch.h"

#include "http/fetch.h"
#include "run/fiber.h"

enum status keyring_fetch_init(struct keyring_fetch *fetch, struct slice issuer, struct slice url,
    struct resolver *resolver, struct tls_client *tls)
{
    *fetch = (struct keyring_fetch){.resolver = resolver, .trouble = ""};
    arena_init(&fetch->arena, (size_t)16 << 10, 0);
    fetch->issuer = arena_copy(&fetch->arena, issuer);
    fetch->url = arena_copy(&fetch->arena, url);
    fetch->tls = tls ? tls_client_ref(tls) : NULL;
    return fetch->issuer.data && fetch->url.data ? OK : NO_MEMORY;
}

void keyring_fetch_release(struct keyring_fetch *fetch)
{
    jose_keys_unref(fetch->keys);
    tls_client_unref(fetch->tls);
    arena_release(&fetch->arena);
}

int64_t keyring_life_of(struct slice cache_control)
{
    static const struct slice name = SLICE_INIT("max-age=");
    struct slice member;
    uint64_t seconds;
    while (field_list_next(&cache_control, &member)) {
        if (slice_equal_nocase(slice_head(member, name.size), name) &&
            slice_to_u64(slice_from(member, name.size), &seconds) && seconds < 1u << 31)
            return (int64_t)seconds * SECOND;
    }
    return 0;
}

/* What lies there, in the fetch's arena. */
static enum status get(struct keyring_fetch *fetch, struct slice url, size_t limit,
    instant deadline, struct slice *ret_text, int64_t *ret_life)
{
    static const struct fetch_field accept = {
        "Accept", SLICE_INIT("application/json, application/jwk-set+json")};
    const struct fetch_question question = {.method = "GET", .fields = &accept, .field_count = 1};
    struct fetch_place place;
    struct fetch conversation;
    enum status e = fetch_place_parse(&fetch->arena, url, &place, &fetch->trouble);
    if (e)
        return e;
    if (!place.path.size)
        place.path = SLICE("/");
    fetch_init(&conversation, &place, fetch->resolver, fetch->tls);
    e = fetch_ask(&conversation, &question, &fetch->arena, deadline);
    int status = conversation.response.status;
    if (!e)
        e = fetch_read_all(&conversation, limit, deadline, ret_text);
    if (e) {
        fetch->trouble = *conversation.trouble ? conversation.trouble : status_sentence(e);
    } else if (status != 200) {
        struct slice said = arena_format(&fetch->arena, "it answers %d", status);
        fetch->trouble = said.data ? said.data : "it does not answer 200";
        e = INVALID;
    } else {
        *ret_life = keyring_life_of(
            fields_combined(&conversation.response.fields, field_name(FIELD_CACHE_CONTROL)));
    }
    fetch_close(&conversation);
    return e;
}

static enum status discover(struct keyring_fetch *fetch, instant deadline)
{
    struct slice text, base = fetch->issuer;
    int64_t life;
    while (slice_has_suffix(base, SLICE("/")))
        base.size--;
    struct slice url = arena_format(&fetch->arena, "%.*s" OIDC_WELL_KNOWN, SLICE_ARG(base));
    if (!url.data)
        return NO_MEMORY;
    enum status e = get(fetch, url, OIDC_DOCUMENT_MAX, deadline, &text, &life);
    if (!e)
        e = oidc_provider_read(
            &fetch->arena, text, fetch->issuer, &fetch->provider, &fetch->trouble);
    if (!e)
        fetch->url = fetch->provider.keys;
    return e;
}

enum status keyring_fetch_run(struct keyring_fetch *fetch, instant deadline)
{
    struct slice text;
    enum status e = fetch->issuer.size ? discover(fetch, deadline) : OK;
    if (!e)
        e = get(fetch, fetch->url, JOSE_SET_SIZE_MAX, deadline, &text, &fetch->life);
    if (!e)
        e = jose_keys_new(&fetch->keys);
    if (!e)
        e = jose_keys_add_json(fetch->keys, text, JOSE_PUBLIC_ONLY, &fetch->trouble);
    if (fiber_is_cancelled(fiber_current()))
        return CANCELLED;
    if (e == NO_MEMORY)
        fetch->trouble = "out of memory";
    return e;
}
