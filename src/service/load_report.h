/* Load reports: what endpoints say of their load in a field or trailer of their answers (ORCA, open
 * request cost aggregation; message xds.data.orca.v3.OrcaLoadReport).
 *
 *     endpoint-load-metrics: TEXT cpu_utilization=0.3,rps_fractional=120,named_metrics.queue=4
 *     endpoint-load-metrics: JSON {"cpu_utilization": 0.3, "rps_fractional": 120}
 *     endpoint-load-metrics: BIN CTMzMzMzM9M/        the message in base64
 *     endpoint-load-metrics-bin: CTMzMzMzM9M/        the same, as gRPC writes it
 *
 * Without one of the three words it is text. */
#pragma once

#include "http/fields.h"

struct load_report {
    double cpu, memory, application; /* utilizations: parts of what there is; 0: not said */
    double rate;                     /* requests a second */
    double errors;                   /* errors a second */
    double wanted;                   /* the metric that was asked for */
};

enum load_report_form { LOAD_REPORT_TEXT, LOAD_REPORT_JSON, LOAD_REPORT_BINARY };

/* Reads one report; metrics that mean nothing to us are read over. `wanted`: the name of a metric,
 * such as named_metrics.queue, or empty. INVALID: malformed, or a number that cannot be. NO_MEMORY.
 */
enum status load_report_parse(struct arena *arena, enum load_report_form form, struct slice text,
    struct slice wanted, struct load_report *ret_report);

/* The report among the fields; NOT_FOUND, or as above. */
enum status load_report_read(
    const struct fields *fields, struct slice wanted, struct load_report *ret_report);

/* Takes reports out, so that clients do not see them. */
void load_report_remove(struct fields *fields);

/* True when a metric of that name can be in a report. */
bool load_report_has_metric(struct slice name);
