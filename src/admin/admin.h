/* The admin server: how operators and their tools look into the gateway and steer it, as HTTP and
 * JSON.
 *
 * It listens on the control socket (a unix path that only the owner may open: everything is allowed
 * there) and on the addresses of `admin:` (looking only). It runs on the control thread: however
 * busy the workers are, it answers, and however slow its clients are, no worker notices.
 *
 *     GET  /livez  /readyz  /metrics  /v1/status  /v1/config      anywhere
 *     POST /v1/reload  /v1/endpoints  /v1/shift  /v1/log/reopen  /v1/upgrade  /v1/hand-over   by
 * the socket /v1/services/NAME…        instances_page.h: looking anywhere, changing by the socket
 * or a token
 *
 * To add one: a function and a line in the table of admin.c. */
#pragma once

#include "gateway/gateway.h"

struct admin;

/* `control` is the control socket's path; empty: none. A control socket that another program
 * listens on is EXISTS. On the control loop. */
enum status admin_start(struct gateway *gateway, struct slice control, struct admin **ret_admin);

/* Opens those addresses of a snapshot's `admin:` that are not open; one that cannot be opened is an
 * error, with a complaint. Then the caller settles. */
enum status admin_prepare(
    struct admin *admin, const struct snapshot *snapshot, struct diagnostics *diagnostics);

/* Closes the addresses that the snapshot which is served now does not name. */
void admin_settle(struct admin *admin);

/* What only the whole program can do: called for POST /v1/upgrade and POST /v1/hand-over with the
 * exchange to answer. Without them these paths are not there. */
struct admin_hooks {
    enum status (*upgrade)(void *argument, struct exchange *x);
    enum status (*hand_over)(void *argument, struct exchange *x);
};
void admin_set_hooks(struct admin *admin, const struct admin_hooks *hooks, void *argument);

/* As gateway_offer_sockets and gateway_hand_over, for the control socket and the addresses of
 * `admin:`. Answers under way go on. */
enum status admin_offer_sockets(struct admin *admin, struct inheritance *offer);
void admin_hand_over(struct admin *admin, const struct inheritance *offer);

/* After gateway_stop and before gateway_free. Waits for answers under way, a second at most. */
void admin_stop(struct admin *admin);
