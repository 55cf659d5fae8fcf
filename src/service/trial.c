#include "service/trial.h"

#include "service/guard.h"
#include "service/rollout.h"

#include <stdlib.h>

#define LATE_PART 60 /* of the window: when a look is due although little has come */

static const struct metric_family verdicts_family = {"weir_judge_verdicts_total",
    "How often the judge has taken a version out, and why: errors or p99.", METRIC_COUNTER,
    {"service", "version", "reason"}};
static const struct metric_family out_family = {"weir_judge_out",
    "1 while the judge keeps a version out.", METRIC_GAUGE, {"service", "version"}};

struct trial *trial_obtain(struct guard *guard)
{
    unsigned workers = guard->plane->options.workers;
    if (guard->trial)
        return guard->trial;
    size_t size = sizeof(struct trial) + workers * sizeof(struct trial_shard);
    struct trial *trial = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (!trial)
        return NULL;
    memset(trial, 0, size);
    trial->workers = workers;
    guard->trial = trial;
    return trial;
}

/* --- on a worker */

void trial_learn(struct trial *trial, const struct outcome *outcome, bool is_failure)
{
    struct trial_shard *shard = &trial->shards[outcome->view->worker];
    if (!outcome->is_late)
        histogram_raise(&shard->all, 1);
    if (is_failure)
        histogram_raise(&shard->failed, 1);
    else if (outcome->took)
        histogram_record(&shard->times, outcome->took);
}

/* --- windows */

static uint32_t read_new(const _Atomic uint64_t *counter, uint32_t *sum)
{
    uint32_t value = (uint32_t)atomic_load_explicit(counter, memory_order_relaxed);
    *sum += value;
    return value;
}

static void read_shards(const struct trial *trial, struct judge_record *ret_record)
{
    memset(ret_record, 0, sizeof *ret_record);
    for (unsigned worker = 0; worker < trial->workers; worker++) {
        const struct trial_shard *shard = &trial->shards[worker];
        (void)read_new(&shard->failed, &ret_record->failed);
        (void)read_new(&shard->all, &ret_record->all);
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
            (void)read_new(&shard->times.counts[i], &ret_record->times[i]);
    }
}

static void add_since(
    struct judge_record *into, const struct judge_record *now, const struct judge_record *before)
{
    into->all += now->all - before->all;
    into->failed += now->failed - before->failed;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->times[i] += now->times[i] - before->times[i];
}

static void forget(struct trial *trial)
{
    for (int i = 0; i < TRIAL_SLOTS; i++)
        trial->slots[i].step = -1;
    trial->since = trial->looks = 0;
}

static void gather(struct trial *trial, int64_t span, instant now)
{
    struct judge_record record;
    int64_t step = now / (span / TRIAL_SLOTS);
    if (span != trial->span)
        forget(trial);
    trial->span = span;
    read_shards(trial, &record);
    for (int i = 0; i < TRIAL_SLOTS; i++)
        if (trial->slots[i].step <= step - TRIAL_SLOTS)
            trial->slots[i].step = -1;
    struct trial_slot *slot = &trial->slots[step % TRIAL_SLOTS];
    if (slot->step != step)
        *slot = (struct trial_slot){.step = step};
    trial->since += record.all - trial->seen.all;
    add_since(&slot->record, &record, &trial->seen);
    trial->seen = record;
}

void trial_sum(const struct trial *trial, struct judge_record *ret_record)
{
    static const struct judge_record nothing;
    *ret_record = nothing;
    for (int i = 0; i < TRIAL_SLOTS; i++)
        if (trial->slots[i].step >= 0)
            add_since(ret_record, &trial->slots[i].record, &nothing);
}

/* --- looking */

static void count(const struct versions *versions, size_t i, enum judge_verdict verdict)
{
    const struct service_plane_options *plane = &versions->service->plane->options;
    struct slice labels[] = {
        versions->service->name, versions->items[i].name, slice_of_text(judge_word(verdict))};
    if (plane->metrics)
        metric_add(
            plane->control_shard, metrics_series(plane->metrics, &verdicts_family, labels), 1);
}

/* 0 too, once the judge has ever spoken or could. */
static void show(const struct versions *versions, size_t i)
{
    const struct service_plane_options *plane = &versions->service->plane->options;
    struct slice labels[] = {versions->service->name, versions->items[i].name};
    if (plane->metrics)
        metric_set(plane->control_shard, metrics_series(plane->metrics, &out_family, labels),
            versions->items[i].is_out);
}

static void look(struct versions *versions, const struct judge_record *old, size_t i, instant now)
{
    const struct judge_options *options = &versions->service->options->release.judge;
    size_t against = versions->service->options->release.old;
    struct trial *trial = versions->items[i].service->trial;
    struct judge_record new;
    char room[ROLLOUT_WHY];
    struct text why = text_fixed(room, sizeof room - 1);
    trial_sum(trial, &new);
    bool is_late = now >= trial->looked + options->time / LATE_PART;
    if (!judge_is_due(options, old, &new, trial->since, is_late))
        return;
    trial->since = 0;
    trial->looked = now;
    enum judge_verdict verdict =
        judge_look(options, old, &new, ++trial->looks, versions->items[against].name, &why);
    if (verdict == JUDGE_NOTHING)
        return;
    room[why.size] = 0;
    rollout_condemn(versions, i, room);
    count(versions, i, verdict);
}

/* Who is in again, since somebody has said so, begins anew. */
static void follow(struct trial *trial, bool is_out)
{
    if (trial->is_over && !is_out)
        forget(trial);
    trial->is_over = is_out;
}

static void look_at_all(struct versions *versions, instant now)
{
    const struct release_options *release = &versions->service->options->release;
    struct judge_record old;
    if (versions->items[release->old].is_out)
        return; /* the file has made it the old one since */
    for (size_t i = 0; i < versions->count; i++) {
        gather(versions->items[i].service->trial, release->judge.time, now);
        follow(versions->items[i].service->trial, versions->items[i].is_out);
    }
    trial_sum(versions->items[release->old].service->trial, &old);
    for (size_t i = 0; i < versions->count; i++) {
        if (i != release->old && !versions->items[i].is_out)
            look(versions, &old, i, now);
        show(versions, i);
    }
}

instant trials_look(struct service_plane *plane, instant now)
{
    instant due = NEVER;
    list_each (node, &plane->guards) {
        const struct rollout *rollout = list_entry(node, struct guard, node)->rollout;
        if (!rollout || !rollout->active ||
            !rollout->active->service->options->release.judge.is_set)
            continue;
        look_at_all(rollout->active, now);
        due = now + TRIAL_EVERY;
    }
    return due;
}
