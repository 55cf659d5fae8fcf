/* The keeper: what TLS needs while time passes. It changes the tickets' keys, shows in metrics when
 * certificates end and how asking about them goes, and says aloud what an operator has to see to.
 * On the control thread. */
#pragma once

#include "gateway/tls_plan.h"

struct gateway;
struct json_writer;
struct tls_keeper;

/* Begins to keep; it looks at what the gateway serves at that time. */
enum status tls_keeper_new(struct gateway *gateway, struct tls_keeper **ret_keeper);

/* No more is kept; what the metrics show stays. NULL is fine, for both. */
void tls_keeper_stop(struct tls_keeper *keeper);
void tls_keeper_free(struct tls_keeper *keeper);

/* "certificates": [{"file", "names", "until", ...}], for `weir status`. NULL: there are none. */
void tls_plan_describe(const struct tls_plan *plan, struct json_writer *writer);
