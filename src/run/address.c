#include "run/address.h"

#include <arpa/inet.h>
#include <stdio.h>

static const unsigned char mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* inet_pton wants a NUL; what is longer than any address is none. */
static bool parse_ip(int family, struct slice text, void *ret_bytes)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.size == 0 || text.size >= sizeof copy || memchr(text.data, 0, text.size))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return inet_pton(family, copy, ret_bytes) == 1;
}

static void set_v4(struct address *address, struct in_addr ip, uint16_t port)
{
    *address = (struct address){.size = sizeof address->v4};
    address->v4 =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip};
}

static void set_v6(struct address *address, struct in6_addr ip, uint16_t port)
{
    *address = (struct address){.size = sizeof address->v6};
    address->v6 =
        (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = ip};
}

enum status address_parse_ip(struct slice text, uint16_t port, struct address *ret_address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (parse_ip(AF_INET, text, &v4))
        set_v4(ret_address, v4, port);
    else if (parse_ip(AF_INET6, text, &v6))
        set_v6(ret_address, v6, port);
    else
        return INVALID;
    return OK;
}

static enum status parse_local(struct slice path, struct address *ret_address)
{
    struct address address = {.size = 0};
    if (path.size == 0 || path.size >= sizeof address.local.sun_path ||
        memchr(path.data, 0, path.size))
        return INVALID;
    bool is_abstract = path.data[0] == '@';
    if (is_abstract && path.size == 1)
        return INVALID;
    address.local.sun_family = AF_UNIX;
    memcpy(address.local.sun_path, path.data, path.size);
    if (is_abstract)
        address.local.sun_path[0] = 0;
    address.size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.size + (is_abstract ? 0 : 1));
    *ret_address = address;
    return OK;
}

enum status address_parse(struct slice text, struct address *ret_address)
{
    if (slice_has_prefix(text, SLICE("unix:")))
        return parse_local(slice_from(text, 5), ret_address);
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon == 0 || !slice_to_u64(slice_from(text, colon), &port) || port > UINT16_MAX)
        return INVALID;
    struct slice host = slice_head(text, colon - 1);
    if (host.size == 0) {
        set_v6(ret_address, in6addr_any, (uint16_t)port);
        return OK;
    }
    struct in_addr v4;
    struct in6_addr v6;
    if (parse_ip(AF_INET, host, &v4)) {
        set_v4(ret_address, v4, (uint16_t)port);
        return OK;
    }
    if (host.size < 2 || host.data[0] != '[' || host.data[host.size - 1] != ']' ||
        !parse_ip(AF_INET6, slice_of(host.data + 1, host.size - 2), &v6))
        return INVALID;
    set_v6(ret_address, v6, (uint16_t)port);
    return OK;
}

/* A path may contain anything but NUL; one that is abstract begins with one. */
static void format_local(const struct address *address, struct text *text)
{
    size_t before = offsetof(struct sockaddr_un, sun_path);
    size_t size = address->size > before ? address->size - before : 0;
    const char *path = address->local.sun_path;
    text_add_literal(text, "unix:");
    if (size == 0)
        return;
    if (path[0])
        text_add(text, slice_of(path, strnlen(path, size)));
    else if (size > 1) {
        text_add_char(text, '@');
        text_add(text, slice_of(path + 1, size - 1));
    }
}

static char *put_number(char *p, unsigned value)
{
    if (value >= 100) {
        *p++ = (char)('0' + value / 100);
        value %= 100;
        *p++ = (char)('0' + value / 10);
    } else if (value >= 10)
        *p++ = (char)('0' + value / 10);
    *p++ = (char)('0' + (value < 10 ? value : value % 10));
    return p;
}

/* Every request has one or two, in its log line and for its service: inet_ntop, which prints
 * through a format, would cost a microsecond. */
static void format_v4(const unsigned char bytes[4], struct text *text)
{
    char ip[INET_ADDRSTRLEN], *p = put_number(ip, bytes[0]);
    for (int i = 1; i < 4; i++) {
        *p++ = '.';
        p = put_number(p, bytes[i]);
    }
    text_add(text, slice_of(ip, (size_t)(p - ip)));
}

static void format_v6(const unsigned char bytes[16], struct text *text, bool brackets)
{
    char ip[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, bytes, ip, sizeof ip);
    if (brackets)
        text_add_char(text, '[');
    text_add(text, slice_of_text(ip));
    if (brackets)
        text_add_char(text, ']');
}

static void format_ip(const struct address *address, struct text *text, bool with_port)
{
    unsigned char bytes[16];
    address_ip_bytes(address, bytes);
    if (memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0)
        format_v4(bytes + 12, text);
    else
        format_v6(bytes, text, with_port);
    if (with_port) {
        text_add_char(text, ':');
        text_add_u64(text, address_port(address));
    }
}

static bool has_ip(const struct address *address)
{
    return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

void address_format(const struct address *address, struct text *text)
{
    if (has_ip(address))
        format_ip(address, text, true);
    else
        format_local(address, text);
}

void address_format_ip(const struct address *address, struct text *text)
{
    if (address->any.sa_family == AF_INET)
        format_v4((const unsigned char *)&address->v4.sin_addr, text);
    else if (has_ip(address))
        format_ip(address, text, false);
    else
        text_add_literal(text, "unix");
}

uint16_t address_port(const struct address *address)
{
    if (address->any.sa_family == AF_INET)
        return ntohs(address->v4.sin_port);
    return address->any.sa_family == AF_INET6 ? ntohs(address->v6.sin6_port) : 0;
}

void address_set_port(struct address *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET)
        address->v4.sin_port = htons(port);
    else if (address->any.sa_family == AF_INET6)
        address->v6.sin6_port = htons(port);
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (!has_ip(a))
        return a->size == b->size && memcmp(&a->local, &b->local, a->size) == 0;
    unsigned char a_ip[16], b_ip[16];
    address_ip_bytes(a, a_ip);
    address_ip_bytes(b, b_ip);
    return address_port(a) == address_port(b) && memcmp(a_ip, b_ip, sizeof a_ip) == 0 &&
           (a->any.sa_family == AF_INET || a->v6.sin6_scope_id == b->v6.sin6_scope_id);
}

void address_ip_bytes(const struct address *address, unsigned char ret_bytes[16])
{
    memset(ret_bytes, 0, 16);
    if (address->any.sa_family == AF_INET) {
        memcpy(ret_bytes, mapped_prefix, sizeof mapped_prefix);
        memcpy(ret_bytes + 12, &address->v4.sin_addr, 4);
    } else if (address->any.sa_family == AF_INET6) {
        memcpy(ret_bytes, &address->v6.sin6_addr, 16);
    }
}

enum status network_parse(struct slice text, struct network *ret_network)
{
    size_t slash = slice_find(text, '/');
    struct address address;
    if (address_parse_ip(slice_head(text, slash), 0, &address))
        return INVALID;
    unsigned most = address.any.sa_family == AF_INET ? 32 : 128;
    uint64_t bits = most;
    if (slash < text.size &&
        (text.size - slash > 4 || !slice_to_u64(slice_from(text, slash + 1), &bits) || bits > most))
        return INVALID;
    struct network network = {.bits = (unsigned)bits + (128 - most)};
    address_ip_bytes(&address, network.bytes);
    *ret_network = network;
    return OK;
}

bool network_contains(const struct network *network, const struct address *address)
{
    if (!has_ip(address))
        return false;
    unsigned char ip[16];
    address_ip_bytes(address, ip);
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(ip, network->bytes, whole) != 0)
        return false;
    return rest == 0 || ((ip[whole] ^ network->bytes[whole]) & (0xff00u >> rest) & 0xff) == 0;
}
