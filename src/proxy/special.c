#include "proxy/special.h"

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

static const struct {
    uint32_t base;
    unsigned bits;
} special_v4[] = {
    {V4(0, 0, 0, 0), 8},        /* this network; some systems take it for themselves */
    {V4(10, 0, 0, 0), 8},       /* private */
    {V4(100, 64, 0, 0), 10},    /* shared by a provider's customers; Alibaba's metadata */
    {V4(127, 0, 0, 0), 8},      /* loopback */
    {V4(168, 63, 129, 16), 32}, /* public by its number, but Azure's metadata */
    {V4(169, 254, 0, 0), 16},   /* link-local; most clouds' metadata */
    {V4(172, 16, 0, 0), 12},    /* private */
    {V4(192, 0, 0, 0), 24},     /* protocol assignments; Oracle's metadata */
    {V4(192, 0, 2, 0), 24},     /* documentation */
    {V4(192, 88, 99, 0), 24},   /* relays of 6to4, given up */
    {V4(192, 168, 0, 0), 16},   /* private */
    {V4(198, 18, 0, 0), 15},    /* benchmarks */
    {V4(198, 51, 100, 0), 24},  /* documentation */
    {V4(203, 0, 113, 0), 24},   /* documentation */
    {V4(224, 0, 0, 0), 4},      /* multicast */
    {V4(240, 0, 0, 0), 4},      /* reserved, and broadcast */
};

/* The first half of an address. Nothing outside 2000::/3 is global; these are parts of it that are
 * not. */
static const struct {
    uint64_t base;
    unsigned bits;
} special_v6[] = {
    {0x2001000000000000u, 23}, /* protocol assignments; Teredo */
    {0x20010db800000000u, 32}, /* documentation */
    {0x2002000000000000u, 16}, /* 6to4: leads to any IPv4 address */
    {0x3fff000000000000u, 20}, /* documentation */
};

static uint64_t number_of(const unsigned char *bytes, int count)
{
    uint64_t number = 0;
    for (int i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

static bool is_public_v4(uint32_t ip)
{
    for (size_t i = 0; i < sizeof special_v4 / sizeof *special_v4; i++)
        if ((ip ^ special_v4[i].base) >> (32 - special_v4[i].bits) == 0)
            return false;
    return true;
}

static bool is_public_v6(uint64_t half)
{
    if (half >> 61 != 1)
        return false;
    for (size_t i = 0; i < sizeof special_v6 / sizeof *special_v6; i++)
        if ((half ^ special_v6[i].base) >> (64 - special_v6[i].bits) == 0)
            return false;
    return true;
}

bool address_is_public(const struct address *address)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const unsigned char translated[12] = {0, 0x64, 0xff, 0x9b}; /* NAT64, RFC 6052 */
    unsigned char bytes[16];
    if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6)
        return false;
    address_ip_bytes(address, bytes);
    bool holds_v4 = !memcmp(bytes, mapped, 12) || !memcmp(bytes, translated, 12);
    return holds_v4 ? is_public_v4((uint32_t)number_of(bytes + 12, 4))
                    : is_public_v6(number_of(bytes, 8));
}
