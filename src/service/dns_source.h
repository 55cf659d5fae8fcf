/* What sources that ask the DNS have in common. */
#pragma once

#include "run/resolver.h"
#include "service/finder.h"

struct dns_source_options {
    struct source_options common;
    struct slice resolver; /* servers to ask; empty: the system's */
};

#define DNS_SOURCE_ROWS                                                                          \
    SOURCE_ROWS,                                                                                 \
    {                                                                                            \
        "resolver", OPTION_TEXT, offsetof(struct dns_source_options, resolver),                  \
            .form = "127.0.0.1:8600",                                                            \
            .help = "The DNS servers to ask, as addresses with commas between them; by default " \
                    "those of /etc/resolv.conf."                                                 \
    }

#define DNS_SOURCE_TIMEOUT (5 * SECOND)

/* INVALID after a complaint about the options. */
enum status dns_source_check(
    struct reader *reader, struct place place, const struct dns_source_options *options);

/* The resolver to ask; IO_ERROR, NO_MEMORY. What was made for it goes with dns_source_leave. */
enum status dns_source_enter(const struct finder *finder, const struct dns_source_options *options,
    struct resolver **ret_resolver);
void dns_source_leave(const struct dns_source_options *options, struct resolver *resolver);

/* When to ask again. */
instant dns_source_next(int64_t ttl);

/* Says why, and what requests get. */
enum status dns_source_failed(struct finder *finder, enum status e);
