/* Endpoints at run time: what is known of one, its pools, and whether it may be asked. They outlive
 * snapshots: a reload that keeps a service's name and an address keeps the endpoint, with its
 * loads, its verdicts and its open connections.
 *
 * Memory is counted: one for whoever has obtained it (snapshots, through the registry), one for
 * each worker's pool until that is empty for good. */
#pragma once

#include "service/breaker.h"
#include "service/history.h"
#include "service/plane.h"
#include "service/pool.h"
#include "service/service_options.h"

/* Why an endpoint gets no requests, besides enum down_reason (balance/balancer.h). */
enum {
    DOWN_MAINTENANCE = 8, /* an operator works on it: not checked either */
    DOWN_TOLD_OUT = 16,   /* its agent says so: drain, maint */
    DOWN_TOLD_DOWN = 32,  /* its agent says so: down, fail, stopped */
    DOWN_OVERLOADED = 64, /* its agent says so: yes, 0% */
    DOWN_SOURCE = 256,    /* the source that has found it says so */
    DOWN_FORGIVEN = 128,  /* no reason: too many others are down, so some reasons do not count */
    DOWN_BREAKER = 512,   /* its breaker is open (breakers.h) */
    DOWN_LOADED = 1024,   /* its load reports say that it has enough */
};

#define DOWN_ENOUGH (DOWN_OVERLOADED | DOWN_LOADED)

/* What is forgiven while too few of a service's endpoints are well. */
#define DOWN_FORGIVABLE (DOWN_CHECK | DOWN_EJECTED)

/* How much of its share it gets (grade.h). */
struct endpoint_grade {
    double said;     /* of its weight, by its agent; 1: all */
    uint32_t limit;  /* requests in flight, by its agent; 0: any number */
    double newest;   /* weight by its load reports, in whatever measure; 0: none that counts */
    double reported; /* the same beside the others', in place of its weight; 0: none does */
};

/* Its load reports (reports.h): relaxed atomics of workers and the control thread. */
struct endpoint_reports {
    _Alignas(64) _Atomic double weight; /* of the newest that said enough for one */
    _Atomic double utilization;         /* of the newest */
    _Atomic int64_t heard;              /* instant of the newest that had a weight */
    _Atomic int64_t since;              /* of the first of those in a row; 0: there is none */
    _Atomic int64_t loaded_at;          /* when it was last found overloaded */
    uint32_t good_series, bad_series, utilization_series; /* 0: nothing is read */
};

#define NO_SERIES UINT32_MAX

struct endpoint {
    struct load load; /* shared: atomics; is_down there is what of `reasons` counts */
    struct endpoint_reports reports; /* shared, too; beside it, since both begin a cache line */
    _Atomic uint32_t reasons;        /* bits of the above */
    struct service_plane *plane;
    struct list node; /* in the plane's list */
    _Atomic uint32_t users;
    _Atomic uint32_t waiting; /* requests of all workers that wait for a connection */
    _Atomic uint32_t gateway_failures_in_row;
    /* In its own block of memory, as the pools: */
    struct slice service_name;
    struct slice text;             /* the address as people write it */
    struct slice tls_name;         /* what its certificate must be for; empty: no TLS */
    const struct address *address; /* no more of it than address_copy takes */

    /* Of its metrics, those that nothing else says (endpoint_metrics.h): relaxed atomics. */
    _Atomic uint32_t duration_series; /* NO_SERIES until the first answer */
    _Atomic uint32_t ejected;         /* times, ever */
    _Atomic uint32_t weight;          /* that it has now, in thousandths */
    _Atomic uint64_t good_checks, bad_checks;

    struct breaker *_Atomic breaker; /* owned; NULL: no service has ever wanted it to have one */

    struct history history;

    /* Of the control thread: statistics of the interval (outlier.c). */
    uint64_t counted_requests, counted_failures; /* of `load`, at its beginning */
    uint64_t looked_requests;                    /* at the last look */
    uint64_t least_latency;                      /* that was seen since; 0: none */

    struct endpoint_grade grade; /* of the control thread */
    /* Of the control thread: where it stands in the set that was built last (endpoint_set.c). */
    uint32_t build, place;

    /* Of the control thread: its agent. */
    struct errand *agent;                   /* while it is asked */
    struct timer agent_timer;               /* until then */
    const struct service_options *asked_by; /* as checked_by */
    instant heard_at;

    /* Of the control thread: the active check. */
    struct errand *check;     /* while it is asked */
    struct timer check_timer; /* until then */
    struct tls_session check_session;
    const struct service_options
        *checked_by;               /* the newest service in use that says how; NULL: none */
    unsigned good, bad;            /* answers in a row */
    instant check_due, checked_at; /* the next one; the last one's beginning */
    uint64_t seen_requests;        /* load.requests at the last look, ... */
    instant seen_at;               /* ... and when clients were last seen to ask; 0: never */

    struct pool pools[]; /* one a worker */
};

struct endpoint_entry;

/* What makes an endpoint: another of any is another endpoint. */
struct endpoint_key {
    struct slice service_name, text, tls_name;
    const struct address *address; /* what `text` says */
};

/* The endpoint with that key, kept once more: made if it is new. On the control
 * thread. The entry is given back with endpoint_drop. */
enum status endpoint_obtain(struct service_plane *plane, const struct endpoint_key *key,
    struct endpoint_entry **ret_entry, bool *ret_is_new);
struct endpoint *endpoint_of(struct endpoint_entry *entry);
/* Keeps it once more. */
void endpoint_keep(struct endpoint_entry *entry);
void endpoint_drop(struct endpoint_entry *entry);

/* One user more or less; the last frees. From any thread; the second form with the plane's mutex
 * held. */
void endpoint_ref(struct endpoint *endpoint);
void endpoint_unref(struct endpoint *endpoint);
void endpoint_unref_locked(struct endpoint *endpoint);

/* At the process' end, whoever still counts. */
void endpoint_free(struct endpoint *endpoint);

/* Notes an event. From any thread. */
void endpoint_note(struct endpoint *endpoint, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same, unless that was the newest event already. */
void endpoint_note_once(struct endpoint *endpoint, const char *text);

/* Why it is down: bits; 0: it is well. */
static inline uint32_t endpoint_reasons(const struct endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->reasons, memory_order_relaxed) &
           ~(uint32_t)DOWN_FORGIVEN;
}

static inline bool endpoint_is_down(const struct endpoint *endpoint)
{
    return endpoint_reasons(endpoint) != 0;
}

/* Sees to it that it has a breaker, before who uses it is told. On the control thread. NO_MEMORY.
 */
enum status endpoint_add_breaker(struct endpoint *endpoint);

/* Marks it down for a reason, or takes that mark off; true when that changed something. From any
 * thread. */
bool endpoint_set_down(struct endpoint *endpoint, uint32_t reason, bool is_down);

/* It begins now, or comes back: slowly, if its service says so. */
void endpoint_rise(struct endpoint *endpoint);

/* Lets those who pick see its reasons as they are now: for the sweep, since two who changed them at
 * the same moment may have left an older view. */
void endpoint_show_reasons(struct endpoint *endpoint);
