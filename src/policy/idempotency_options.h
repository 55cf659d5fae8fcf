/* `idempotent` as the file says it. Part of the snapshot. */
#pragma once

#include "config/expression.h"
#include "config/option.h"
#include "store/choice.h"

enum idempotency_unavailable { IDEMPOTENCY_REFUSE, IDEMPOTENCY_LOCAL, IDEMPOTENCY_PASS };

/* What became of a request, for the metrics. */
enum idempotency_outcome {
    IDEMPOTENCY_WITHOUT_KEY, /* it has none and needs none */
    IDEMPOTENCY_MISSING,     /* refused, as what follows up to UNAVAILABLE */
    IDEMPOTENCY_MALFORMED,
    IDEMPOTENCY_STILL_RUNNING,
    IDEMPOTENCY_REUSED,
    IDEMPOTENCY_NO_BODY_KEPT,
    IDEMPOTENCY_NOBODY_KNOWS,
    IDEMPOTENCY_UNAVAILABLE,
    IDEMPOTENCY_REPLAYED,
    IDEMPOTENCY_KEPT,      /* it ran, and its result is kept; as what follows */
    IDEMPOTENCY_HEAD_KEPT, /* ... without its body */
    IDEMPOTENCY_FREED,     /* it did not begin, or its answer is one that is not kept */
    IDEMPOTENCY_LEFT_OPEN, /* nobody knows what became of it */
    IDEMPOTENCY_NOT_KEPT,  /* the store did not take the result */
    IDEMPOTENCY_LOST,      /* somebody else has the key by now */
    IDEMPOTENCY_OUTCOMES
};

#define IDEMPOTENCY_STATUS_FIRST 200
#define IDEMPOTENCY_STATUS_LAST  599

/* Statuses, a bit each from the first. */
struct idempotency_statuses {
    uint64_t bits[(IDEMPOTENCY_STATUS_LAST - IDEMPOTENCY_STATUS_FIRST) / 64 + 1];
};

struct idempotency_options {
    struct option_list methods; /* of int: indices of its words */
    bool is_required;
    struct expression *per;    /* or NULL */
    struct option_list fields; /* of struct slice */
    int64_t keep, lease;       /* nanoseconds */
    bool is_retried;           /* `unknown`, an index of words: the request is done again */
    int unknown;
    struct idempotency_statuses except;
    int64_t request_max, answer_max; /* bytes of bodies */
    int store;                       /* enum store_place */
    int if_unavailable;              /* enum idempotency_unavailable */
    int64_t timeout;                 /* nanoseconds */
    struct slice docs;

    /* Made when it is prepared. All borrowed. */
    struct slice name;
    struct store *chosen;     /* NULL: of a rehearsal */
    struct store *substitute; /* of `if-unavailable: local`; or NULL */
    struct metrics_shard *const *shards;
    uint32_t series[IDEMPOTENCY_OUTCOMES];
    uint32_t renewed, not_renewed; /* series */
};

extern const struct option_table idempotency_table;

/* Whether requests of that method are concerned. */
bool idempotency_is_for(const struct idempotency_options *options, enum http_method method);

bool idempotency_has_status(const struct idempotency_statuses *statuses, int status);
