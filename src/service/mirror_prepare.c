/* Mirrors of a configuration: making them, and saying what they are. */
#include "service/mirror.h"

#include "base/json_writer.h"

static const struct metric_family requests_family = {"weir_mirror_requests_total",
    "Copied requests by how the answers compare: the same status, another one, no answer to the "
    "copy, none to the original.",
    METRIC_COUNTER, {"service", "to", "result"}};
static const struct metric_family bodies_family = {"weir_mirror_bodies_total",
    "Answers to copied requests whose bodies were compared.", METRIC_COUNTER,
    {"service", "to", "result"}};
static const struct metric_family dropped_family = {"weir_mirror_dropped_total",
    "Copies that were not sent, and why: too many under way, the body too large, or lost for want "
    "of memory or of the request's end.",
    METRIC_COUNTER, {"service", "to", "reason"}};
static const struct metric_family duration_family = {"weir_mirror_duration_seconds",
    "Until the answer's head was there, of copied requests: the original's, and the copy's.",
    METRIC_HISTOGRAM, {"service", "to", "side"}};

static void add_series(struct mirror *mirror)
{
    struct metrics *metrics = mirror->from->plane->options.metrics;
    const struct {
        uint32_t *series;
        const struct metric_family *family;
        const char *word;
    } all[] = {{&mirror->same_series, &requests_family, "same-status"},
        {&mirror->other_series, &requests_family, "other-status"},
        {&mirror->silent_series, &requests_family, "no-answer"},
        {&mirror->alone_series, &requests_family, "no-original"},
        {&mirror->equal_series, &bodies_family, "same"},
        {&mirror->different_series, &bodies_family, "different"},
        {&mirror->busy_series, &dropped_family, "busy"},
        {&mirror->large_series, &dropped_family, "too-large"},
        {&mirror->lost_series, &dropped_family, "lost"},
        {&mirror->original_series, &duration_family, "original"},
        {&mirror->copy_series, &duration_family, "copy"}};
    for (size_t i = 0; metrics && i < sizeof all / sizeof *all; i++)
        *all[i].series = metrics_series(metrics, all[i].family,
            (const struct slice[]){
                mirror->from->name, mirror->options->to, slice_of_text(all[i].word)});
}

enum status mirror_prepare(struct reader *reader, struct service *service)
{
    unsigned workers = service->plane->options.workers;
    struct mirror *mirror = arena_new(reader->arena, struct mirror);
    _Atomic uint32_t *running = arena_zalloc(reader->arena, (workers + 1) * sizeof *running);
    if (!mirror || !running)
        return NO_MEMORY;
    *mirror =
        (struct mirror){.from = service, .options = &service->options->mirror, .running = running};
    add_series(mirror);
    service->mirror = mirror;
    return OK;
}

void mirror_link(const struct service *service, struct reader *reader,
    const struct service *(*find)(void *argument, struct slice name), void *argument)
{
    struct mirror *mirror = service->mirror;
    if (!mirror)
        return;
    struct slice name = mirror->options->to;
    mirror->to = find(argument, name);
    if (mirror->to == service)
        diagnostics_error(reader->diagnostics, mirror->options->place, SLICE_NONE,
            "a service cannot be its own mirror");
    else if (!mirror->to)
        diagnostics_error(reader->diagnostics, mirror->options->place,
            SLICE("add it under \"services\", or among the versions"),
            "there is no service \"%.*s\"", SLICE_ARG(slice_head(name, 100)));
}

static uint64_t count_running(const struct mirror *mirror)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < mirror->from->plane->options.workers; i++)
        sum += atomic_load_explicit(&mirror->running[i], memory_order_relaxed);
    return sum;
}

void mirror_describe(const struct mirror *mirror, struct json_writer *w)
{
    json_put_object(w, "mirror");
    json_put_text(w, "to", mirror->options->to);
    json_put_double(w, "share", mirror->options->share);
    json_put_u64(w, "running", count_running(mirror));
    json_write_object_end(w);
}

void mirror_explain(const struct mirror *mirror, struct text *text)
{
    text_format(text, ", %.4g%% mirrored to %.*s", mirror->options->share * 100,
        SLICE_ARG(mirror->options->to));
}
