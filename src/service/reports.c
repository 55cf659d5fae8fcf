#include "service/reports.h"

#include "run/loop.h"
#include "service/load_report.h"

#define RELAXED memory_order_relaxed

/* Beside the mean, so that one odd report neither empties an endpoint nor sends everything there.
 */
#define LEAST_WEIGHT 0.01
#define MOST_WEIGHT  100

static const struct metric_family reports_family = {"weir_endpoint_load_reports_total",
    "Load reports of an endpoint, by whether they could be read: good or bad.", METRIC_COUNTER,
    {"service", "endpoint", "result"}};
static const struct metric_family utilization_family = {"weir_endpoint_utilization",
    "The utilization that an endpoint has reported last.", METRIC_GAUGE, {"service", "endpoint"},
    .divisor = 1000};

void reports_expect(struct endpoint *endpoint)
{
    struct metrics *metrics = endpoint->plane->options.metrics;
    struct slice good[] = {endpoint->service_name, endpoint->text, SLICE("good")};
    struct slice bad[] = {endpoint->service_name, endpoint->text, SLICE("bad")};
    if (!metrics || endpoint->reports.good_series)
        return;
    endpoint->reports.good_series = metrics_series(metrics, &reports_family, good);
    endpoint->reports.bad_series = metrics_series(metrics, &reports_family, bad);
    endpoint->reports.utilization_series = metrics_series(metrics, &utilization_family, good);
}

/* --- a report comes */

static double utilization_of(const struct load_report *report, const struct report_options *options)
{
    if (options->metric.size)
        return report->wanted;
    return report->application > 0 ? report->application : report->cpu;
}

/* Who says nothing of rate or utilization leaves the weight as it is. */
static void note_weight(
    struct endpoint *endpoint, const struct load_report *report, double utilization, double penalty)
{
    struct endpoint_reports *reports = &endpoint->reports;
    if (report->rate <= 0 || utilization <= 0)
        return;
    double weight = report->rate / (utilization + report->errors / report->rate * penalty);
    atomic_store_explicit(&reports->weight, weight, RELAXED);
    atomic_store_explicit(&reports->heard, loop_now(), RELAXED);
    if (atomic_load_explicit(&reports->since, RELAXED))
        return;
    atomic_store_explicit(&reports->since, loop_now(), RELAXED);
    sweep_stir(endpoint->plane); /* from now on it looks now and then by itself */
}

static void note_load(
    struct endpoint *endpoint, const struct report_options *options, double utilization)
{
    bool is_over = options->overloaded > 0 && utilization >= options->overloaded;
    bool was_over = endpoint_reasons(endpoint) & DOWN_LOADED;
    atomic_store_explicit(&endpoint->reports.utilization, utilization, RELAXED);
    if (is_over)
        atomic_store_explicit(&endpoint->reports.loaded_at, loop_now(), RELAXED);
    if (is_over == was_over || !endpoint_set_down(endpoint, DOWN_LOADED, is_over))
        return;
    if (is_over)
        endpoint_note(endpoint, "overloaded: a utilization of %.0f %%", utilization * 100);
    else
        endpoint_note(
            endpoint, "no longer overloaded: a utilization of %.0f %%", utilization * 100);
}

bool reports_take(struct endpoint *endpoint, const struct report_options *options,
    struct fields *fields, struct metrics_shard *shard)
{
    struct load_report report;
    struct endpoint_reports *reports = &endpoint->reports;
    enum status e = load_report_read(fields, options->metric, &report);
    if (e == NOT_FOUND)
        return false;
    if (reports->good_series)
        metric_add(shard, e ? reports->bad_series : reports->good_series, 1);
    if (!options->passes)
        load_report_remove(fields);
    if (e)
        return false;
    double utilization = utilization_of(&report, options);
    note_weight(endpoint, &report, utilization, options->penalty);
    note_load(endpoint, options, utilization);
    return true;
}

double reports_utilization(const struct endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->reports.utilization, RELAXED);
}

/* --- what comes of it */

/* 0: none that counts: there was none lately, or the first one only now. */
static double weight_of(
    struct endpoint *endpoint, const struct report_options *options, instant now, bool *is_fresh)
{
    struct endpoint_reports *reports = &endpoint->reports;
    instant heard = atomic_load_explicit(&reports->heard, RELAXED);
    instant since = atomic_load_explicit(&reports->since, RELAXED);
    if (!since)
        return 0;
    if (now - heard >= options->expires) { /* they begin anew */
        atomic_store_explicit(&reports->since, 0, RELAXED);
        return 0;
    }
    *is_fresh = true;
    return now - since >= options->blackout ? atomic_load_explicit(&reports->weight, RELAXED) : 0;
}

/* Who is overloaded gets no requests, and so says nothing more: it is tried again after a while. */
static instant let_back(
    struct endpoint *endpoint, const struct report_options *options, instant now)
{
    if (!(endpoint_reasons(endpoint) & DOWN_LOADED))
        return NEVER;
    instant until = atomic_load_explicit(&endpoint->reports.loaded_at, RELAXED) + options->rest;
    if (options->overloaded > 0 && now < until)
        return until;
    if (endpoint_set_down(endpoint, DOWN_LOADED, false))
        endpoint_note(endpoint, "no longer overloaded: nothing more is said of its load");
    return NEVER;
}

static void show(const struct endpoint *endpoint)
{
    const struct service_plane_options *options = &endpoint->plane->options;
    if (endpoint->reports.utilization_series)
        metric_set(options->control_shard, endpoint->reports.utilization_series,
            (int64_t)(reports_utilization(endpoint) * 1000 + 0.5));
}

static void grade(const struct endpoint_set *set, double mean, uint32_t count)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct endpoint_grade *grade = &set->endpoints[i]->grade;
        double weight = grade->newest > 0 ? grade->newest / mean : 1;
        weight = weight < LEAST_WEIGHT ? LEAST_WEIGHT : weight;
        weight = weight > MOST_WEIGHT ? MOST_WEIGHT : weight;
        grade->reported = count < 2 ? 0 : weight;
    }
}

static instant weigh(struct roster *roster, instant now)
{
    const struct report_options *options = &roster->options->reports;
    const struct endpoint_set *set = roster_look(roster);
    bool is_fresh = false;
    double sum = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        struct endpoint *endpoint = set->endpoints[i];
        double weight = options->weighs ? weight_of(endpoint, options, now, &is_fresh) : 0;
        endpoint->grade.newest = weight;
        sum += weight;
        count += weight > 0;
        show(endpoint);
    }
    grade(set, count ? sum / count : 1, count);
    roster->reports_due = now + options->update;
    return is_fresh ? roster->reports_due : NEVER;
}

void reports_adopt(struct roster *roster)
{
    const struct endpoint_set *set = roster_look(roster);
    if (roster->options->reports.is_on)
        return;
    for (uint32_t i = 0; i < set->count; i++) {
        set->endpoints[i]->grade.reported = 0;
        (void)endpoint_set_down(set->endpoints[i], DOWN_LOADED, false);
    }
}

instant reports_weigh(struct roster *roster, instant now)
{
    const struct endpoint_set *set = roster_look(roster);
    instant due = NEVER;
    if (!roster->options->reports.is_on)
        return NEVER;
    for (uint32_t i = 0; i < set->count; i++)
        due = clock_sooner(due, let_back(set->endpoints[i], &roster->options->reports, now));
    instant weighed = now >= roster->reports_due ? weigh(roster, now) : roster->reports_due;
    return clock_sooner(due, weighed);
}
