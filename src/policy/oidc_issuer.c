#include "policy/oidc_issuer.h"

#include "service/service.h"

/* "https://id.example" of "https://id.example/realms/shop". */
static struct slice origin_of(struct slice url)
{
    size_t scheme = slice_find_slice(url, SLICE("://"));
    if (scheme == url.size)
        return url;
    size_t end = scheme + 3;
    while (end < url.size && url.data[end] != '/' && url.data[end] != '?')
        end++;
    return slice_head(url, end);
}

enum status oidc_issuer_prepare(
    struct prepare *prepare, const struct keyring_options *options, struct oidc_issuer *issuer)
{
    issuer->plane = prepare->plane;
    issuer->has_own_ca = options->ca.size > 0;
    issuer->home.text = origin_of(options->issuer);
    issuer->home.place = options->place;
    enum status e = keyring_obtain(prepare, options, &issuer->ring);
    return e ? e : inquiry_prepare(prepare, &issuer->home);
}

/* Whether the service that stands for the issuer's host can be asked: it has connections that are
 * kept, but trusts the system's authorities alone. */
static bool is_at_home(const struct oidc_issuer *issuer, struct slice endpoint)
{
    struct slice home = issuer->home.text;
    return !issuer->has_own_ca && slice_has_prefix(endpoint, home) &&
           slice_has_prefix(slice_from(endpoint, home.size), SLICE("/"));
}

static enum status ask_elsewhere(const struct oidc_issuer *issuer, struct slice endpoint,
    const struct exchange *x, const struct inquiry *inquiry, struct arena *arena,
    struct inquiry_answer *ret_answer)
{
    const struct inquiry_elsewhere elsewhere = {.url = endpoint,
        .resolver = service_plane_worker_resolver(issuer->plane, x->worker),
        .tls = keyring_tls(issuer->ring)};
    if (!elsewhere.resolver)
        return NO_MEMORY;
    return inquiry_ask_elsewhere(&issuer->home, x, &elsewhere, inquiry, arena, ret_answer);
}

enum status oidc_issuer_ask(const struct oidc_issuer *issuer, struct slice endpoint,
    const struct exchange *x, struct inquiry *inquiry, struct arena *arena,
    struct inquiry_answer *ret_answer)
{
    if (!is_at_home(issuer, endpoint))
        return ask_elsewhere(issuer, endpoint, x, inquiry, arena, ret_answer);
    struct slice rest = slice_from(endpoint, issuer->home.text.size);
    size_t mark = slice_find(rest, '?');
    inquiry->path = slice_head(rest, mark);
    inquiry->query = mark < rest.size ? slice_from(rest, mark + 1) : SLICE_NONE;
    return inquiry_ask(&issuer->home, x, inquiry, arena, ret_answer);
}
