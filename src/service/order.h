/* What an operator says about an endpoint. It holds until the contrary is said, across reloads, for
 * as long as some configuration has the endpoint. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct service;

enum endpoint_order {
    ORDER_READY,      /* gets requests, if it is well */
    ORDER_DRAIN,      /* gets none; those under way end as they will; it is checked on */
    ORDER_MAINTENANCE /* gets none, and is not checked */
};

/* "ready", "drain", "maintenance"; false when it is none. */
bool order_of(struct slice word, enum endpoint_order *ret_order);
const char *order_word(enum endpoint_order order);

struct endpoint;
struct service_plane;
struct text;

/* What operators have said of all endpoints and versions (rollout.h), for a process that takes this
 * one's place. On the control thread. */
void orders_save(struct service_plane *plane, struct text *text);

/* Takes that over, or a part of it after others: it holds for endpoints that are made from now on.
 * What is no such text is read over. On the control thread. */
void orders_restore(struct service_plane *plane, struct slice text);

/* Lets a new endpoint hear what was taken over for it. */
void orders_apply(struct endpoint *endpoint);

/* Of the endpoint that the status shows as `endpoint`. NOT_FOUND. On the control thread. */
enum status service_order(
    const struct service *service, struct slice endpoint, enum endpoint_order order);
