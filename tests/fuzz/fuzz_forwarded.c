/* X-Forwarded-For and Forwarded of a trusted peer, and Cookie: nothing crashes; what is written can
 * be read, and then tells of the same client. */
#include "http/forwarded.h"

#include "base/must.h"
#include "http/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void begin(struct exchange *x, struct slice value, enum field_id id)
{
    *x = (struct exchange){.request = {.scheme = SLICE("http"), .authority = SLICE("a:1")}};
    arena_init(&x->arena, 0, 0);
    fields_init(&x->request.fields, &x->arena);
    must(address_parse_ip(SLICE("10.0.0.1"), 1, &x->peer) == OK);
    (void)fields_add_known(&x->request.fields, id, value);
}

static void check(struct slice value, enum field_id id, enum forwarded_style style)
{
    struct network trusted;
    struct exchange x;
    unsigned char client[16], again[16];
    must(network_parse(SLICE("10.0.0.0/8"), &trusted) == OK);
    begin(&x, value, id);
    must(forwarded_read(&x, &trusted, 1) == OK);
    address_ip_bytes(&x.client, client);
    must(forwarded_write(&x, style) == OK);
    must(forwarded_read(&x, &trusted, 1) == OK);
    address_ip_bytes(&x.client, again);
    must(memcmp(client, again, sizeof client) == 0);
    arena_release(&x.arena);
}

static void check_cookies(struct slice value)
{
    struct exchange x;
    struct slice rest = value, name, one;
    begin(&x, value, FIELD_COOKIE);
    while (cookie_next(&rest, &name, &one))
        must(one.data && name.size + one.size < value.size);
    (void)cookie_value(&x.request.fields, SLICE("a"));
    arena_release(&x.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4000)
        return 0;
    struct slice value = slice_of((const char *)data + 1, size - 1);
    enum forwarded_style style = data[0] % 3;
    check(value, FIELD_X_FORWARDED_FOR, style);
    check(value, FIELD_FORWARDED, style);
    check_cookies(value);
    return 0;
}
