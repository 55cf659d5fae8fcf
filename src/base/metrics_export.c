#include "base/metrics_core.h"

#include <stdlib.h>

static void add_help(struct text *text, const char *help)
{
    for (; *help; help++) {
        if (*help == '\n')
            text_add_literal(text, "\\n");
        else if (*help == '\\')
            text_add_literal(text, "\\\\");
        else
            text_add_char(text, *help);
    }
}

static void export_family(struct text *text, const struct metric_family *family)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    text_format(text, "# HELP %s ", family->name);
    add_help(text, family->help ? family->help : "");
    text_format(text, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
}

/* name{labels,le="…"}: everything of a line but the value. */
static void export_name(
    struct text *text, const struct series *series, const char *suffix, const char *bound)
{
    text_add(text, slice_of_text(series->family->name));
    text_add(text, slice_of_text(suffix));
    if (series->labels.size || bound) {
        text_add_char(text, '{');
        text_add(text, series->labels);
        if (series->labels.size && bound)
            text_add_char(text, ',');
        if (bound)
            text_format(text, "le=\"%s\"", bound);
        text_add_char(text, '}');
    }
    text_add_char(text, ' ');
}

static void export_count(struct text *text, uint64_t value)
{
    text_add_u64(text, value);
    text_add_char(text, '\n');
}

static void export_value(struct text *text, const struct metric_family *family, uint64_t value)
{
    if (family->divisor > 1)
        text_format(text, "%.9g", (double)(int64_t)value / family->divisor);
    else if (family->kind == METRIC_GAUGE)
        text_add_i64(text, (int64_t)value);
    else
        text_add_u64(text, value);
    text_add_char(text, '\n');
}

static void export_histogram(
    const struct metrics *metrics, const struct series *series, struct text *text)
{
    uint64_t cells[HISTOGRAM_CELLS];
    metrics_sum(metrics, series->cell, cells, HISTOGRAM_CELLS);
    uint64_t cumulative = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        cumulative += cells[CELL_BUCKETS + i];
        export_name(text, series, "_bucket", metrics_buckets[i].text);
        export_count(text, cumulative);
    }
    /* The writers go on meanwhile: a bucket may be newer than the count. */
    uint64_t count = cells[CELL_COUNT] > cumulative ? cells[CELL_COUNT] : cumulative;
    export_name(text, series, "_bucket", "+Inf");
    export_count(text, count);
    export_name(text, series, "_sum", NULL);
    text_format(text, "%llu.%09llu\n", (unsigned long long)(cells[CELL_SUM] / 1000000000),
        (unsigned long long)(cells[CELL_SUM] % 1000000000));
    export_name(text, series, "_count", NULL);
    export_count(text, count);
}

static void export_series(
    const struct metrics *metrics, const struct series *series, struct text *text)
{
    if (series->family->kind == METRIC_HISTOGRAM) {
        export_histogram(metrics, series, text);
        return;
    }
    export_name(text, series, "", NULL);
    export_value(text, series->family, metrics_value(metrics, series->cell));
}

/* --- families that are read */

struct metric_lines {
    struct text *text;
    const struct metric_family *family;
    bool has_begun;
};

void metric_say(struct metric_lines *lines, const struct slice *values, int64_t value)
{
    struct text *text = lines->text;
    if (!lines->has_begun)
        export_family(text, lines->family);
    lines->has_begun = true;
    text_add(text, slice_of_text(lines->family->name));
    text_add_char(text, '{');
    metrics_add_labels(text, lines->family, values);
    text_add_literal(text, "} ");
    export_value(text, lines->family, (uint64_t)value);
}

/* Those whose names come before `name`; NULL: all that are left. */
static void export_readers(const struct reader_of_family **at, const char *name, struct text *text)
{
    for (; *at && (!name || strcmp((*at)->family->name, name) < 0); *at = (*at)->next) {
        struct metric_lines lines = {text, (*at)->family, false};
        (*at)->read((*at)->argument, (*at)->family, &lines);
    }
}

/* --- all of it */

static int compare_series(const void *a, const void *b)
{
    const struct series *one = *(const struct series *const *)a;
    const struct series *two = *(const struct series *const *)b;
    int order = one->family == two->family ? 0 : strcmp(one->family->name, two->family->name);
    return order ? order : slice_compare(one->labels, two->labels);
}

static void collect(struct metrics *metrics)
{
    pthread_mutex_lock(&metrics->lock);
    const struct collector *collector = metrics->collectors;
    pthread_mutex_unlock(&metrics->lock);
    for (; collector; collector = collector->next)
        collector->collect(collector->argument, metrics);
}

static void export_dropped(struct text *text, uint64_t dropped)
{
    static const struct metric_family family = {.name = "weir_metrics_dropped_series_total",
        .help = "Times that a series could not be made because there are too many.",
        .kind = METRIC_COUNTER};
    export_family(text, &family);
    text_add(text, slice_of_text(family.name));
    text_add_char(text, ' ');
    export_count(text, dropped);
}

/* The series that there are now, sorted, for the caller to free; without memory `*ret_count` is 0.
 * And who reads others: none goes. */
static struct series **sorted_series(struct metrics *metrics, uint32_t *ret_count,
    uint64_t *ret_dropped, const struct reader_of_family **ret_readers)
{
    pthread_mutex_lock(&metrics->lock);
    uint32_t count = metrics->count;
    struct series **series = malloc((count + 1) * sizeof *series);
    if (series)
        memcpy(series, metrics->series, count * sizeof *series);
    *ret_dropped = metrics->dropped;
    *ret_readers = metrics->readers;
    pthread_mutex_unlock(&metrics->lock);
    *ret_count = series ? count : 0;
    if (*ret_count)
        qsort(series, count, sizeof *series, compare_series);
    return series;
}

void metrics_export(struct metrics *metrics, struct text *text)
{
    pthread_mutex_lock(&metrics->exporting);
    collect(metrics);
    uint32_t count;
    uint64_t dropped;
    const struct reader_of_family *readers;
    struct series **series = sorted_series(metrics, &count, &dropped, &readers);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || series[i]->family != series[i - 1]->family) {
            export_readers(&readers, series[i]->family->name, text);
            export_family(text, series[i]->family);
        }
        export_series(metrics, series[i], text);
    }
    free(series);
    export_readers(&readers, NULL, text);
    export_dropped(text, dropped);
    pthread_mutex_unlock(&metrics->exporting);
}
