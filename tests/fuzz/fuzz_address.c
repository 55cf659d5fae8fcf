/* Addresses and networks: what is accepted can be written and read back as the same. */
#include "base/must.h"
#include "run/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(struct slice input)
{
    struct address address, again;
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    if (address_parse(input, &address))
        return;
    address_format(&address, &text);
    must(!text.failed);
    must(address_parse(text_slice(&text), &again) == OK);
    must(address_port(&again) == address_port(&address));
    text_clear(&text);
    address_format_ip(&address, &text);
    must(!text.failed);
}

static void check_network(struct slice input)
{
    struct network network;
    struct address address;
    if (network_parse(input, &network))
        return;
    must(network.bits <= 128);
    must(address_parse_ip(slice_head(input, slice_find(input, '/')), 0, &address) == OK);
    must(network_contains(&network, &address));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    check_address(input);
    check_network(input);
    return 0;
}
