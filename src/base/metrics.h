/* Metrics: counters, gauges and histograms that workers write without a lock and whoever reads sums
 * up.
 *
 * A *family* has a name, a kind and label names; a *series* is one set of label values in it.
 * Registering either takes a mutex and happens at load, or the first time a combination is seen;
 * the number that comes back is stable while the process lives. Each thread writes into a *shard*
 * of its own, by that number: one relaxed add.
 *
 * The number of series is bounded; past the bound registration yields METRIC_OVERFLOW, a series
 * that only counts in `weir_metrics_dropped_series_total`. */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "base/text.h"

struct metrics;
struct metrics_shard;

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_LABELS_MAX 6
#define METRIC_OVERFLOW   ((uint32_t)0)

struct metric_family {
    const char *name; /* "weir_http_requests_total" */
    const char *help;
    enum metric_kind kind;
    const char *labels[METRIC_LABELS_MAX]; /* ends with NULL unless full */
    uint32_t divisor; /* shown divided by this, so that microseconds can be kept and seconds shown;
                         0: as kept. Not of histograms */
};

enum status metrics_new(uint32_t series_max, struct metrics **ret_metrics); /* 0: 65536 */
void metrics_free(struct metrics *metrics);

/* A shard for one thread; lives until metrics_free. */
enum status metrics_shard_new(struct metrics *metrics, struct metrics_shard **ret_shard);

/* The number of a series; the same family (by address) and values give the same number. `values` as
 * many as the family has labels; copied. From any thread. */
uint32_t metrics_series(
    struct metrics *metrics, const struct metric_family *family, const struct slice *values);

/* Only by the shard's thread. */
void metric_add(struct metrics_shard *shard, uint32_t series, uint64_t n);
void metric_observe(struct metrics_shard *shard, uint32_t series,
    int64_t nanoseconds); /* histograms of durations */

/* A gauge is the sum of all shards' values. */
void metric_set(struct metrics_shard *shard, uint32_t series, int64_t value);

/* Sum over the shards. From any thread. */
uint64_t metrics_value(const struct metrics *metrics, uint32_t series);

/* Called before each export, for gauges that are read from elsewhere (endpoint health, process
 * facts). */
void metrics_add_collector(struct metrics *metrics,
    void (*collect)(void *argument, struct metrics *metrics), void *argument);

/* A family of which nothing is kept: whoever knows the values says them at each export, and those
 * whom they concern may come and go, and be very many. No other family has its name. `read` runs on
 * the exporting thread and calls metric_say for each series. Not of histograms. */
struct metric_lines;
typedef void metric_reader(
    void *argument, const struct metric_family *family, struct metric_lines *lines);
void metrics_add_reader(struct metrics *metrics, const struct metric_family *family,
    metric_reader *read, void *argument);
void metric_say(struct metric_lines *lines, const struct slice *values, int64_t value);

/* All of it in the Prometheus text format 0.0.4; histograms in seconds with fixed buckets. */
void metrics_export(struct metrics *metrics, struct text *text);
