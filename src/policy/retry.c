#include "policy/policy.h"
#include "service/retry_options.h"

/* When a request of this route is sent to its service once more, instead of what the service says.
 * Trying is the service's own (service/retry.h). */

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    x->retry = config;
    return handler_serve(next, x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    (void)x;
    retry_explain(config, text);
}

const struct policy_type retry_policy = {
    .name = "retry",
    .plural = "retries",
    .options = &retry_rule_table,
    .serve = serve,
    .explain = explain,
};
