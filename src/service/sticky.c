#include "service/sticky.h"

#include "balance/sticky_table.h"
#include "base/base64.h"
#include "base/hash.h"
#include "service/plane.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define MAC_SIZE 16

/* --- the table */

struct sticky_state {
    struct sticky_table *table; /* owned */
};

static enum status init_state(void *object, void *context)
{
    struct sticky_state *state = object;
    return sticky_table_new((size_t) * (const int64_t *)context, &state->table);
}

static void release_state(void *object)
{
    sticky_table_free(((struct sticky_state *)object)->table);
}

static const struct registry_kind sticky_kind = {
    "sticky", sizeof(struct sticky_state), init_state, release_state};

/* Tables of another size, or of other keys, are others: after a reload that changes that, sessions
 * begin anew. */
static enum status obtain_table(
    struct service_plane *plane, struct arena *arena, struct slice service, struct sticky *sticky)
{
    int64_t keys = sticky->options->keys;
    struct slice name = arena_format(arena, "%.*s\n%lld\n%.*s", SLICE_ARG(service), (long long)keys,
        SLICE_ARG(expression_source(sticky->options->by)));
    void *object;
    if (!name.data)
        return NO_MEMORY;
    enum status e = registry_obtain(plane->options.registry, &sticky_kind, name, &keys, &object);
    if (e)
        return e;
    if (arena_own(arena, registry_release, object))
        return NO_MEMORY;
    sticky->table = ((struct sticky_state *)object)->table;
    return OK;
}

static void add_series(struct service_plane *plane, struct slice service, struct sticky *sticky)
{
    static const struct metric_family family = {"weir_sticky_requests_total",
        "Requests by what became of their session: kept at its endpoint, new, moved to another "
        "since its own was down, ended.",
        METRIC_COUNTER, {"service", "outcome"}};
    struct metrics *metrics = plane->options.metrics;
    if (!metrics)
        return;
    sticky->kept_series =
        metrics_series(metrics, &family, (const struct slice[]){service, SLICE("kept")});
    sticky->new_series =
        metrics_series(metrics, &family, (const struct slice[]){service, SLICE("new")});
    sticky->moved_series =
        metrics_series(metrics, &family, (const struct slice[]){service, SLICE("moved")});
    sticky->ended_series =
        metrics_series(metrics, &family, (const struct slice[]){service, SLICE("ended")});
}

enum status sticky_prepare(struct service_plane *plane, struct reader *reader, struct slice service,
    const struct sticky_options *options, struct sticky **ret_sticky)
{
    struct sticky *sticky = arena_new(reader->arena, struct sticky);
    if (!sticky)
        return NO_MEMORY;
    sticky->options = options;
    add_series(plane, service, sticky);
    enum status e = options->by ? obtain_table(plane, reader->arena, service, sticky) : OK;
    if (!e)
        *ret_sticky = sticky;
    return e;
}

uint64_t sticky_key(const struct service_plane *plane, struct slice text)
{
    uint64_t key = hash_keyed(text, plane->session_key);
    return key ? key : 1;
}

uint32_t sticky_seconds(instant now)
{
    return (uint32_t)(now / SECOND);
}

/* --- cookies */

struct cookie {
    uint64_t id;
    unsigned char mac[MAC_SIZE];
};

void sticky_sign(const struct service_plane *plane, const struct sticky_options *options,
    struct slice service, uint64_t id, char ret_text[STICKY_COOKIE_SIZE])
{
    struct cookie cookie = {.id = id};
    unsigned char mac[EVP_MAX_MD_SIZE] = {0};
    char room[512];
    struct text text = text_fixed(room, sizeof room);
    struct slice secret = options->secret;
    if (!secret.size)
        secret = slice_of((const char *)plane->secret, sizeof plane->secret);
    text_add(&text, slice_of((const char *)&id, sizeof id));
    text_add(&text, slice_head(service, sizeof room - sizeof id));
    HMAC(EVP_sha256(), secret.data, (int)secret.size, (const unsigned char *)room, text.size, mac,
        NULL);
    memcpy(cookie.mac, mac, MAC_SIZE);
    base64_encode(
        slice_of((const char *)&cookie, sizeof cookie), BASE64_URL | BASE64_UNPADDED, ret_text);
}

uint64_t sticky_claimed(struct slice cookie)
{
    char bytes[STICKY_COOKIE_SIZE];
    size_t size;
    uint64_t id = 0;
    if (cookie.size != STICKY_COOKIE_SIZE ||
        !base64_decode(cookie, BASE64_URL | BASE64_UNPADDED, bytes, &size) ||
        size != sizeof(struct cookie))
        return 0;
    memcpy(&id, bytes, sizeof id);
    return id;
}

void sticky_set_cookie(const struct sticky_options *options, struct exchange *x, struct slice value)
{
    char age[32] = "";
    if (!value.size)
        snprintf(age, sizeof age, "; Max-Age=0");
    else if (options->timeout)
        snprintf(age, sizeof age, "; Max-Age=%lld", (long long)(options->timeout / SECOND));
    struct slice text = arena_format(&x->arena, "%.*s=%.*s; Path=/%s; HttpOnly%s; SameSite=Lax",
        SLICE_ARG(options->cookie), SLICE_ARG(value), age, x->is_secure ? "; Secure" : "");
    if (text.data)
        (void)fields_add_made(&x->response.fields, FIELD_SET_COOKIE, text);
}
