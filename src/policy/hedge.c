#include "policy/policy.h"
#include "service/hedge_options.h"

/* When a request of this route is sent to a second endpoint as well, instead of what the service
 * says. Sending is the service's own (service/hedge.h). */

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    x->hedge = config;
    return handler_serve(next, x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    (void)x;
    hedge_explain(config, text);
}

const struct policy_type hedge_policy = {
    .name = "hedge",
    .plural = "hedges",
    .options = &hedge_rule_table,
    .serve = serve,
    .explain = explain,
};
