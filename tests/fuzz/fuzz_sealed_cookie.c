/* Reads any bytes as a Cookie field: joins what was split over several cookies, opens what was
 * sealed, and takes it all off. What opens has been sealed here; what is left has nothing of it. */
#include "base/must.h"
#include "http/cookie.h"
#include "http/split_cookie.h"
#include "jose/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct split_cookie cookie = {SLICE_INIT("weir"), SLICE_INIT("; Path=/")};

static void check_opened(struct arena *arena, struct slice text)
{
    const struct slice secret = SLICE("a secret of thirty-two bytes ...");
    struct sealer sealer;
    struct slice bytes;
    const char *why;
    must(!sealer_init(&sealer, &secret, 1, SLICE("fuzz"), &why));
    enum status e = unseal(&sealer, arena, text, &bytes);
    must(e == INVALID || (e == OK && slice_equal(bytes, SLICE("who"))));
    sealer_release(&sealer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct fields request;
    struct slice value, name, rest;
    arena_init(&arena, 0, 0);
    fields_init(&request, &arena);
    (void)fields_add_known(&request, FIELD_COOKIE, slice_of((const char *)data, size));
    enum status e = split_cookie_value(&cookie, &request, &arena, &value);
    must(e == OK || e == NOT_FOUND || e == INVALID);
    if (!e)
        check_opened(&arena, value);
    must(!split_cookie_strip(&cookie, &request, &arena));
    rest = fields_value(&request, FIELD_COOKIE);
    while (cookie_next(&rest, &name, &value))
        must(!slice_equal(name, cookie.name) && !slice_has_prefix(name, SLICE("weir.")));
    must(split_cookie_value(&cookie, &request, &arena, &value) == NOT_FOUND);
    arena_release(&arena);
    return 0;
}
