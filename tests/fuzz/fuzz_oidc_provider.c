/* Reads any bytes as what an OpenID provider says of itself. Where it sends people and questions
 * must be fit for a request, and safe. */
#include "base/must.h"
#include "policy/oidc_provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(struct slice url)
{
    must(url.size <= OIDC_URL_MAX);
    must(url.size == 0 || slice_has_prefix(url, SLICE("https://")));
    for (size_t i = 0; i < url.size; i++)
        must(url.data[i] > ' ' && url.data[i] != 127 && url.data[i] != '#');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct oidc_provider provider, copy;
    const char *why = NULL;
    struct slice text = slice_of((const char *)data, size);
    arena_init(&arena, 0, 0);
    if (oidc_provider_read(&arena, text, SLICE("https://id.example"), &provider, &why)) {
        must(why && *why);
    } else {
        must(provider.keys.size > 0);
        check_url(provider.keys);
        check_url(provider.authorization_endpoint);
        check_url(provider.token_endpoint);
        check_url(provider.end_session_endpoint);
        must(!oidc_provider_copy(&arena, &provider, &copy));
    }
    arena_release(&arena);
    return 0;
}
