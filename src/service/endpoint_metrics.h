/* An endpoint's metrics. There may be many thousands of endpoints, so but for one nothing is kept
 * for the metrics' sake: they are read from the endpoints when somebody asks. */
#pragma once

#include "service/endpoint.h"

/* Once, by the plane. */
void endpoint_metrics_add(struct service_plane *plane);

/* The histogram of how long it takes, which begins with its first answer. From any thread. */
uint32_t endpoint_register_duration(struct endpoint *endpoint);
static inline uint32_t endpoint_duration_series(struct endpoint *endpoint)
{
    uint32_t series = atomic_load_explicit(&endpoint->duration_series, memory_order_relaxed);
    return __builtin_expect(series != NO_SERIES, 1) ? series : endpoint_register_duration(endpoint);
}
