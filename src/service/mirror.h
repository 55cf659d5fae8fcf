/* Mirrors: copies of requests for another service, whose answers nobody gets, but which are
 * compared with those of the originals.
 *
 *     pair = mirror_begin(mirror, x);          the copy goes when all of the request is known
 *     e = ... the original, as ever ...
 *     mirror_answered(mirror, pair, x, e);
 *
 * A copy is an exchange of its own on a fiber of the worker's, in memory of its own: the original
 * waits for nothing and can end before it. It holds the configuration. There are at most so many at
 * a time, and each keeps at most so many bytes of a body, so memory is bounded; what is more is not
 * copied, and counted. Copies are asked once and mirrored no more. */
#pragma once

#include "service/mirror_options.h"
#include "service/service_state.h"

#define MIRROR_FIELD "X-Weir-Mirror" /* in each copy: the service that it is a copy for */

struct json_writer;

struct mirror {
    const struct service *from;
    const struct service *to; /* NULL: not known yet, or there is none of that name */
    const struct mirror_options *options;
    uint32_t same_series, other_series, silent_series, alone_series;
    uint32_t equal_series, different_series;
    uint32_t busy_series, large_series, lost_series;
    uint32_t original_series, copy_series; /* durations */
    _Atomic uint32_t *running;             /* copies under way, by worker; each writes its own */
};

struct mirror_pair;

/* On the control thread; in the reader's arena. `to` is set when all services are known. */
enum status mirror_prepare(struct reader *reader, struct service *service);

/* Finds who gets the copies, once all services are there; complains through the reader. */
void mirror_link(const struct service *service, struct reader *reader,
    const struct service *(*find)(void *argument, struct slice name), void *argument);

/* NULL: this request is not copied. */
struct mirror_pair *mirror_begin(const struct mirror *mirror, struct exchange *x);

/* The original has been answered, or failed. `pair` is gone; NULL is fine. */
void mirror_answered(struct mirror_pair *pair, struct exchange *x, enum status e);

void mirror_describe(const struct mirror *mirror, struct json_writer *writer);
void mirror_explain(const struct mirror *mirror, struct text *text);
