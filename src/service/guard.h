/* Guards: what is known of a service as a whole at run time, by its name, as endpoints are known by
 * theirs. Shared by workers, kept across reloads and while the file does not mention the service;
 * the process' end is theirs. */
#pragma once

#include "service/breaker.h"
#include "service/admission.h"
#include "service/gradient.h"
#include "service/history.h"
#include "service/plane.h"
#include "service/queue.h"

struct guard {
    struct list node;  /* in the plane's list */
    struct slice name; /* owned */
    struct service_plane *plane;
    struct breaker breaker;
    struct queue queue;         /* of requests that wait for a place */
    _Atomic uint32_t in_flight; /* requests, all workers; counted where there is a cap */
    struct gradient *gradient;  /* owned; NULL: none has ever been asked for; as the next */
    struct admission *admission;
    struct trial *trial;     /* owned; NULL: it was never compared with another version */
    struct rollout *rollout; /* owned; of the control thread; NULL: it never had versions */
    struct history history;
    _Atomic bool has_breaker; /* which the metrics show */
    uint32_t waiting_series, wait_series, in_flight_series;
    uint32_t limit_series; /* 0: not registered yet */
};

/* The guard of that name, made if there is none. On the control thread. NULL: no memory. */
struct guard *guard_obtain(struct service_plane *plane, struct slice name);

/* Sees to it that it has a gradient, and admission control. On the control thread, before who uses
 * them is told. NO_MEMORY. */
enum status guard_adapt(struct guard *guard);
enum status guard_admit(struct guard *guard);

/* At the process' end. */
void guards_free(struct service_plane *plane);

/* For the metrics, with the plane's mutex held. */
void guards_collect(struct service_plane *plane);

/* Notes an event. From any thread. */
void guard_note(struct guard *guard, const char *format, ...) __attribute__((format(printf, 2, 3)));
