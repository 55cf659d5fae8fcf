/* When every endpoint is overloaded, by the word of their agents or load reports. */
#pragma once

#include "service/call.h"

/* ALL_OVERLOADED when somebody would do if he were not; else BREAKER_OPEN when a breaker keeps
 * somebody out; else NO_ENDPOINT. */
enum status overload_why_nobody(const struct endpoint_set *set);

/* The configured answer. Statuses of exchange_respond. */
enum status overload_answer(struct exchange *x, const struct overload_options *options);
