/* The option tables of how a service's endpoints are chosen: `balance`, and what surrounds it. */
#pragma once

#include "config/option.h"
#include "service/service_options.h"

extern const struct option_table balance_table, sticky_table, subset_table, slow_start_table,
    zone_table;

/* Whether some endpoint has the label at all. */
enum status subset_check(
    struct reader *reader, const struct node *node, const struct service_options *options);
