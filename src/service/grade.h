/* Grades: how much of its weight an endpoint gets, by what its agent says and its load reports say.
 *
 * A grade belongs to the endpoint and is of the control thread; those who pick see what it comes to
 * in their set, which does not change. So when grades have moved, the sweep makes a new set of the
 * same endpoints, tables and all, and sends it to the workers as any other (roster.h): no request
 * waits for it. What that costs bounds how often it is done. */
#pragma once

#include "service/roster.h"

/* What its members' weights and limits come to, by the endpoints' grades of now. */
void grade_apply(struct endpoint_set *set);

/* Sends a new set out if grades have moved; when to look again, NEVER: when something happens. On
 * the control thread. */
instant grade_follow(struct roster *roster, instant now);

/* What an agent has said: how much of the weight (1: all) and how many requests in flight (0: any
 * number). True when that is news. */
bool grade_set_said(struct endpoint *endpoint, double share, uint32_t limit);
