/* What `concurrency:`, `queue:` and `shed:` of a service say: part of the snapshot. */
#pragma once

#include "config/option.h"
#include "service/admission.h"
#include "service/gradient.h"

struct concurrency_options {
    bool is_adaptive;
    int64_t max;      /* requests of the service at a time, all workers; 0: any number */
    int64_t endpoint; /* of each endpoint; 0: as its connections allow */
    struct gradient_options gradient;
};

struct queue_options {
    int64_t size; /* requests that may wait, all workers */
    int64_t time; /* nanoseconds each; 0: as long as connecting may take */
};

extern const struct option_table concurrency_table, queue_table, shed_table;
