/* A service as its calls see it; for the files of this folder. */
#pragma once

#include "service/roster.h"

struct hedging;
struct retry_budget;

struct service {
    struct service_plane *plane; /* borrowed */
    struct slice name;           /* borrowed from the snapshot, as the next */
    const struct service_options *options;
    struct roster *roster;          /* owned; NULL: it has versions, which have theirs */
    struct guard *guard;            /* borrowed from the plane; NULL as the roster */
    const struct service *fallback; /* of the snapshot: who answers when it cannot; or NULL */
    struct versions *versions;      /* of the snapshot's arena; or NULL */
    struct mirror *mirror;          /* the same */
    struct trial *trial; /* of a version that is compared; borrowed from its guard; or NULL */
    bool is_composed;    /* there is more to a call than to choose an endpoint (release.h) */
    uint32_t id;         /* for the metrics */
    uint32_t budget_exhausted_series;
    struct retry_budget *budget;    /* shared, counted by the registry; NULL as the roster */
    const struct hedge_rule *hedge; /* of the options; NULL: off */
    struct hedging *hedging;        /* as the budget */
    uint32_t room;                  /* requests that an endpoint's connections carry */
    bool has_names;                 /* it has sources: endpoints may come and go */
    bool is_choosy;                 /* the request is asked which endpoint it wants (choice.h) */
    struct sticky *sticky;          /* owned by the snapshot's arena; NULL: sessions mean nothing */
};

/* Counts one that is sent once more, by what had happened before. */
void service_count_retry(const struct service *service, unsigned worker, struct slice reason);

/* Counts a hedge, by what became of it; and one that was not sent, by why. */
void service_count_hedge(const struct service *service, unsigned worker, const char *outcome);
void service_count_unhedged(const struct service *service, unsigned worker, const char *reason);

/* Counts a request that failed at this service, by its reason. */
void service_count_failure(const struct service *service, unsigned worker, enum status reason);
