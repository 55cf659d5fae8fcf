/* Reading bodies along for what a request costs (`cost: response.body.usage.total_tokens`): as they
 * pass, in memory of fixed size, without holding anything back.
 *
 * Of the request whatever looks like JSON is read; of the answer what says that it is JSON, lines
 * of JSON, or a stream of events (whose data are JSON then). So that the answer can be read, the
 * service is asked for it without a content coding; one that has a coding all the same is not
 * read, and says nothing. */
#pragma once

#include "config/expression_bodies.h"
#include "http/event_data.h"
#include "service/witness.h"

/* What is to be read. Found once, when the limit is prepared. */
struct limit_bodies {
    struct json_paths request, response;
};

static inline bool limit_bodies_any(const struct limit_bodies *bodies)
{
    return bodies->request.count || bodies->response.count;
}

/* Of one request, as long as its exchange. */
struct limit_reading {
    struct witness request;
    struct json_watch request_json, response_json;
    struct event_data events;
};

/* TOO_LARGE: more than can be read at a time. */
enum status limit_bodies_find(const struct expression *cost, struct limit_bodies *ret_bodies);

/* Before the request goes on. */
void limit_reading_begin(
    struct limit_reading *reading, const struct limit_bodies *bodies, struct exchange *x);

/* When the answer has begun: `witness` stands in front of its body. */
void limit_reading_watch(struct limit_reading *reading, const struct limit_bodies *bodies,
    struct exchange *x, struct witness *witness);

/* Between these the exchange's expressions know what was found. */
void limit_reading_show(struct limit_reading *reading, struct exchange *x);
void limit_reading_hide(struct exchange *x);
