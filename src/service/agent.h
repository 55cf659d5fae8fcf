/* Agents: each endpoint is asked how it is, again and again, on the control loop; never in a
 * request's way. What it has said counts until it says otherwise, or has been silent for too
 * long. */
#pragma once

#include "service/endpoint.h"

/* The endpoint is asked as the options say, if they do. On the control thread. */
void agent_start(struct endpoint *endpoint, const struct service_options *options);

/* The endpoint goes. On the control thread, as the next. */
void agent_leave(struct endpoint *endpoint);

/* Nobody wants to know any more: what it has said is forgotten. */
void agent_stop(struct endpoint *endpoint);
