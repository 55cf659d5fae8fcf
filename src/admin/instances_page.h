/* Instances that register themselves, and whoever wants to know them:
 *
 *     PUT    /v1/services/NAME/instances/ID   {"address": …, "lease": "30s"}; without a body:
 * renews DELETE /v1/services/NAME/instances/ID GET    /v1/services/NAME                {"service",
 * "index", "instances"} GET    /v1/services/NAME?watch&index=N  the same once the index is another
 * than N, or after a while (&wait=30s, 5 minutes at most)
 *
 * A watch that asks for text/event-stream gets it as events, one for each change, without an end.
 */
#pragma once

#include "gateway/gateway.h"

#define INSTANCES_PATH "/v1/services/"

/* `is_trusted`: it came by the control socket. Others may look, and change what a token lets them.
 */
enum status instances_page(struct gateway *gateway, struct exchange *x, bool is_trusted);
