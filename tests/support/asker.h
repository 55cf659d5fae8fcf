/* Who asks a fake service of a rig (service_rig.h), as a policy does: what `prepare` finds is the
 * rig's service, by the name "demo" and at every address.
 *
 *     struct asker *asker = asker_new();
 *     asker_begin(asker, rig_fake(asker->rig, serve, NULL));        before each `inquiry_prepare`
 *     ... &asker->prepare, &asker->rig->x ...
 *     asker_free(asker);
 */
#pragma once

#include "policy/policy.h"
#include "support/service_rig.h"

struct asker {
    struct rig *rig;
    struct reader reader;
    struct prepare prepare; /* of a policy called "auth.shop" */
    char address[128];      /* that was asked for last */
    struct arena arena;
};

struct asker *asker_new(void);
void asker_free(struct asker *asker);

/* The fake is the service from now on, and the exchange a new POST. */
void asker_begin(struct asker *asker, const struct fake *fake);

/* Forgets complaints. */
void asker_clear(struct asker *asker);

/* The number behind `line` ("weir_x_total{…} ") in the metrics; 0: it is not there. */
uint64_t asker_metric(const struct asker *asker, const char *line);
