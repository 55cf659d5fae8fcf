/* Rosters: which endpoints a service has now, and what each worker needs to choose among them.
 *
 * A service whose endpoints are all addresses has one set for its life. Where sources find some,
 * a new set comes with each change: the control thread makes it and posts a view of it to every
 * worker, which uses it from then on; the old view comes back when the last request that began with
 * it has ended, and the set goes with its last view. So workers neither lock nor count across
 * threads. */
#pragma once

#include "service/endpoint_set.h"
#include "service/guard.h"

/* One worker's. */
struct view {
    struct list node; /* in the roster's list; of the control thread */
    struct roster *roster;
    struct endpoint_set *set;
    unsigned worker;
    bool is_old;   /* a newer one has come; of the worker, as what follows */
    uint32_t uses; /* requests */
    struct message message;
    _Alignas(16) char balance[]; /* the state of each of the set's slates */
};

struct roster {
    struct list node; /* in the plane's list */
    struct service_plane *plane;
    struct guard *guard;                   /* borrowed from the plane */
    struct slice service_name;             /* borrowed from the snapshot until retired */
    const struct service_options *options; /* the same; NULL: retired */
    struct list views;                     /* all that have memory */
    struct list watches;                   /* of sources: struct finder_watch */
    instant outlier_due;                   /* when the endpoints are compared next; 0: not yet */
    instant reports_due;                   /* when weights are worked out of them next */
    instant grades_due;                    /* when a new set may be made for their sake */
    bool panics;                           /* too few are well: all are asked */
    uint32_t panic_series;                 /* of the metrics */
    bool is_active;                        /* in use: new endpoints are to be checked */
    unsigned on_the_way;                   /* messages to workers that have not been answered */
    struct view *current[];                /* by worker: what it uses */
};

/* On the control thread. INVALID after complaints about sources; one of which nothing is known yet
 * has no endpoint yet. */
enum status roster_new(struct service_plane *plane, struct reader *reader,
    struct slice service_name, const struct service_options *options,
    const struct discovery_defaults *defaults, struct roster **ret_roster);

/* What a source has found has changed: makes a new set and sends it out. On the control thread. */
void roster_update(struct roster *roster);

/* The same for weights that have changed (grade.h). */
void roster_regrade(struct roster *roster);

/* The service goes; nobody uses it any more. Frees the roster, or sees to it that the last message
 * does. */
void roster_retire(struct roster *roster);

/* At once, when no worker is left. */
void roster_free(struct roster *roster);

/* The control thread's own view of it. */
static inline const struct endpoint_set *roster_look(const struct roster *roster)
{
    return roster->current[roster->plane->options.workers]->set;
}

/* The worker's view, in use until view_release. */
static inline struct view *roster_use(const struct roster *roster, unsigned worker)
{
    struct view *view = roster->current[worker];
    view->uses++;
    return view;
}

/* An endpoint's place in the view's set, from one of its slates, that will do for what `pick` says
 * (slate.h), or PICK_NONE.
 */
static inline uint32_t view_pick(struct view *view, uint32_t slate, struct pick *pick)
{
    const struct set_slate *one = &view->set->slates[slate];
    return slate_pick(one->slate, view->balance + one->state_offset, pick);
}

/* Right after the start, sources may not have answered yet: waits until the first has, and takes a
 * newer view in place of this one. UPSTREAM_DISCOVERY_TIMEOUT, CANCELLED. On a worker's fiber. */
enum status view_await(struct view **view, instant deadline);

void view_give_back(struct view *view);

static inline void view_release(struct view *view)
{
    if (--view->uses == 0 && view->is_old)
        view_give_back(view);
}
