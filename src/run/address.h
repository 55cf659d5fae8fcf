/* Socket addresses: IPv4, IPv6 and unix paths, by value. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/slice.h"
#include "base/status.h"
#include "base/text.h"

struct address {
    socklen_t size;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
};

/* Copies what matters of it: only paths are long. */
static inline void address_copy(struct address *to, const struct address *from)
{
    to->size = from->size;
    if (from->size <= sizeof from->v6)
        to->v6 = from->v6;
    else
        to->local = from->local;
}

/* "127.0.0.1:80", "[::1]:80", ":80" (every address: [::]:80 with v4 too), "unix:/run/x.sock",
 * "unix:@abstract". No names. INVALID otherwise. */
enum status address_parse(struct slice text, struct address *ret_address);

/* An address without a port ("10.0.0.1", "::1"), or INVALID. */
enum status address_parse_ip(struct slice text, uint16_t port, struct address *ret_address);

/* "10.0.0.1:80", "[::1]:80", "unix:/path". */
void address_format(const struct address *address, struct text *text);

/* The same without the port: "10.0.0.1", "::1", "unix". An IPv4 address mapped into IPv6 is shown
 * as IPv4. */
void address_format_ip(const struct address *address, struct text *text);
#define ADDRESS_TEXT_MAX 128 /* room that always suffices for either */

uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);
bool address_equal(const struct address *a, const struct address *b);

/* 16 bytes in network order, IPv4 as ::ffff:a.b.c.d; all zero for unix. For CIDR matching, hashing
 * and limits. */
void address_ip_bytes(const struct address *address, unsigned char ret_bytes[16]);

/* A network "10.0.0.0/8", "::1", "fd00::/8"; also the words "private" (RFC 1918, RFC 4193,
 * link-local) and "loopback" are for the option reader to expand. */
struct network {
    unsigned char bytes[16]; /* those behind `bits` do not count */
    unsigned bits;           /* of the 128 */
};
enum status network_parse(struct slice text, struct network *ret_network);
bool network_contains(const struct network *network, const struct address *address);
