/* When every endpoint is overloaded, by the word of their agents or load reports. */
#pragma once

#include "service/call.h"

/* Why none is to be asked: SERVICE_BUSY when somebody has all the requests he may have, else
 * ALL_OVERLOADED by an agent's word, else BREAKER_OPEN, else NO_ENDPOINT. */
enum status overload_why_nobody(const struct service *service, const struct endpoint_set *set);

/* The configured answer. Statuses of exchange_respond. */
enum status overload_answer(struct exchange *x, const struct overload_options *options);
