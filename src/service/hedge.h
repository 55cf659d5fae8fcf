/* Hedging: when an answer takes unusually long, the request goes to a second endpoint as well, and
 * whoever answers first is taken. The other is given up, which its endpoint sees (its connection
 * closes, or HTTP/2's stream is reset), and which is held against nobody.
 *
 *     hedge_begin(call);                      may this request be hedged?
 *     e = call->hedge ? hedge_ask(call) : call_ask(call->attempt);
 *
 * Both run at the same time, as fibers of one scope that ends before hedge_ask returns: then there
 * is one attempt again, which is call->attempt, and what comes after does not know of the other.
 * How long is unusual, the pace of the route says (pace.h); how many there may be, a budget
 * (hedging.h). */
#pragma once

#include "service/call.h"

/* Before the request's body is planned. */
void hedge_begin_with(struct call *call, const struct hedge_rule *rule);
static inline void hedge_begin(struct call *call)
{
    const struct hedge_rule *rule = call->x->hedge ? call->x->hedge : call->service->hedge;
    if (rule)
        hedge_begin_with(call, rule);
}

/* As call_ask of the call's attempt, with another one beside it if that takes long. What is told of
 * the one that is not taken is told; call->attempt is the one whose outcome this is. */
enum status hedge_ask(struct call *call);
