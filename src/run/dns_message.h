/* Reading answers of the DNS (RFC 1035 §4): SRV records (RFC 2782), with the addresses that came
 * along. Nothing in a message is trusted: names are bounded, and pointers only lead backwards. */
#pragma once

#include "base/arena.h"
#include "run/address.h"

#define DNS_RECORDS_MAX 4096 /* of one answer that are looked at */

struct dns_srv {
    uint16_t priority, weight, port;
    uint32_t ttl;        /* seconds */
    struct slice target; /* without its last dot; empty: the service is not offered (a lone dot) */
};

/* An A or AAAA record from the additional section. */
struct dns_address {
    struct slice name;
    uint32_t ttl;
    struct address address; /* without a port */
};

struct dns_srv_answer {
    struct dns_srv *records; /* in the arena */
    size_t count;
    struct dns_address *addresses;
    size_t address_count;
};

/* INVALID: it is no DNS message, or a broken one; NO_MEMORY. Records of other types are passed
 * over. */
enum status dns_read_srv(
    struct arena *arena, struct slice message, struct dns_srv_answer *ret_answer);
