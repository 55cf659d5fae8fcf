/* ClientHellos: what is read lies within bounds, and bytes that come later do not change it. */
#include "base/must.h"
#include "l4/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct client_hello *hello)
{
    struct slice name = client_hello_name(hello), rest = client_hello_protocols(hello), protocol;
    must(name.size <= sizeof hello->name && rest.size <= sizeof hello->protocols);
    for (size_t i = 0; i < name.size; i++)
        must(name.data[i] > ' ' && name.data[i] <= 'z');
    while (client_hello_next_protocol(&rest, &protocol)) {
        must(protocol.size > 0);
        must(protocol.data + protocol.size <= hello->protocols + hello->protocols_size);
        must(client_hello_offers(hello, protocol));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of((const char *)data, size);
    struct client_hello hello, early;
    enum status e = client_hello_parse(all, &hello);
    if (!e)
        check(&hello);
    size_t half = size / 2;
    enum status before = client_hello_parse(slice_head(all, half), &early);
    if (before != INCOMPLETE)
        must(before == e);
    if (!before)
        must(slice_equal(client_hello_name(&early), client_hello_name(&hello)));
    return 0;
}
