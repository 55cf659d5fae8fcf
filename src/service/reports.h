/* What load reports make of endpoints: weights, and who is overloaded.
 *
 * A report's weight is the rate of requests by the utilization that it comes with (and by the share
 * of errors, as a penalty): what the endpoint could do if it were busy. That is the weighting of
 * gRPC's client-side round robin, and here the weight for whatever balancer the service has.
 * Reports come from any worker and from the agent; the newest counts. It takes the place of the
 * configured weight while two or more endpoints have one; those that have none get the mean. */
#pragma once

#include "service/roster.h"

/* The report among the fields of an answer, if there is one; it is taken out unless clients are to
 * see it. True when there was one that can be understood. `shard` is the calling thread's. */
bool reports_take(struct endpoint *endpoint, const struct report_options *options,
    struct fields *fields, struct metrics_shard *shard);

/* The endpoint is to be in a set whose service reads reports. On the control thread. */
void reports_expect(struct endpoint *endpoint);

/* The roster begins to be used: forgets what was reported if its service reads no reports. */
void reports_adopt(struct roster *roster);

/* Works out what is reported of each endpoint for its grade (grade.h); when to do that again. On
 * the control thread. */
instant reports_weigh(struct roster *roster, instant now);

/* The utilization that the newest report has said; 0: none has. */
double reports_utilization(const struct endpoint *endpoint);
