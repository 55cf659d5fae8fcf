/* Facts about the process and its workers as metrics, read when somebody asks for the metrics. On
 * the control thread. */
#pragma once

#include "gateway/gateway.h"

struct process_metrics;

enum status process_metrics_new(struct gateway *gateway, struct process_metrics **ret_metrics);
void process_metrics_free(struct process_metrics *process);
