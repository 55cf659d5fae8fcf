/* The admin server's answers. Each fills x->response. */
#pragma once

#include "gateway/gateway.h"

enum status page_livez(
    struct gateway *gateway, struct exchange *x); /* 200 while the process runs */
enum status page_readyz(
    struct gateway *gateway, struct exchange *x); /* 200, or 503 while it stops */
enum status page_metrics(struct gateway *gateway, struct exchange *x); /* Prometheus text */
enum status page_status(struct gateway *gateway, struct exchange *x);  /* JSON */
enum status page_config(
    struct gateway *gateway, struct exchange *x); /* the file that is served, as text */
enum status page_reload(struct gateway *gateway,
    struct exchange *x); /* JSON: ok, generation, diagnostics; 422 when refused */
enum status page_endpoints(struct gateway *gateway,
    struct exchange *x); /* {"service", "endpoint", "state"}: tells an endpoint; the same back */
enum status page_shift(struct gateway *gateway,
    struct exchange *x); /* {"service", "shares": {"green": "100%"}, "by"}, or "reset": true instead
                          * of shares: says what versions get; the service's status back */
enum status page_log_reopen(struct gateway *gateway, struct exchange *x); /* 204 */
