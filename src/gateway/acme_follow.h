/* The gateway's side of ACME (src/acme): the keeper follows what the configuration wants, and new
 * certificates are loaded when they are there. On the control thread. */
#pragma once

#include "acme/keeper.h"
#include "http/exchange.h"

struct gateway;
struct json_writer;
struct acme_follow;

/* After a snapshot has been published: its names, its authority. */
void acme_follow(struct gateway *gateway);

/* Nothing is got any more. Harmless when nothing was, as the next. */
void acme_unfollow(struct gateway *gateway);
void acme_follow_free(struct acme_follow *follow);

/* "acme": [{"name", "state", ...}], for `weir status`. */
void acme_describe(const struct gateway *gateway, struct json_writer *writer);

/* Answers an authority's request (HTTP-01), on a worker: false when it is none, or about nothing
 * that is under way. */
bool acme_answer(struct acme_answers *answers, struct exchange *x, enum status *ret_result);
