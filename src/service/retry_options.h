/* What a service and a route say about trying again: `retry`. Part of the snapshot. */
#pragma once

#include "config/option.h"

/* What happened to a try; bits. */
enum retry_condition {
    RETRY_CONNECT = 1,  /* there was no connection */
    RETRY_REFUSED = 2,  /* HTTP/2: the service says that it has not begun */
    RETRY_RESET = 4,    /* HTTP/2: the service gave the request up before any answer */
    RETRY_CLOSED = 8,   /* the connection ended before any answer */
    RETRY_TIMEOUT = 16, /* the answer did not come in time */
    RETRY_PROTOCOL = 32 /* what came is no answer, or not all of its head */
};

#define RETRY_STATUS_FIRST 400
#define RETRY_STATUS_LAST  599

#define RETRY_TIMES_MAX    5 /* tries after the first */

struct retry_conditions {
    uint32_t kinds;       /* bits of enum retry_condition */
    uint32_t grpc;        /* bits of 1 << enum grpc_status: said in the head of an answer */
    uint64_t statuses[4]; /* a bit each, from RETRY_STATUS_FIRST */
};

/* What a route may say on its own. */
struct retry_rule {
    int64_t times; /* tries after the first; 0: none */
    struct retry_conditions conditions;
    struct backoff_options {
        int64_t base, max; /* nanoseconds; max 0: ten times base */
    } backoff;
    int64_t retry_after; /* nanoseconds: of the longest Retry-After that is obeyed */
    bool is_keyed;       /* any method, if the request has an Idempotency-Key */
};

struct retry_options {
    struct retry_rule rule; /* first */
    struct budget_options {
        double share;  /* of the requests of the last ten seconds */
        int64_t least; /* a second, whatever the share says */
    } budget;
    int64_t keep; /* bytes of a streamed body */
};

extern const struct option_table retry_table;      /* of a service: struct retry_options */
extern const struct option_table retry_rule_table; /* of a route: struct retry_rule */

/* True when the status is among them. */
bool retry_has_status(const struct retry_conditions *conditions, int status);

/* "2 if connect-error|503", or "off". */
void retry_explain(const struct retry_rule *rule, struct text *text);

/* "connect-error|503", as people write it. */
void retry_write_conditions(
    const struct retry_conditions *conditions, const char *separator, struct text *text);
