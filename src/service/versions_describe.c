/* Versions for status and `weir explain`. */
#include "service/versions.h"

#include "base/json_writer.h"
#include "service/guard.h"
#include "service/mirror.h"
#include "service/rollout.h"
#include "service/trial.h"

static void write_verdict(struct json_writer *w, const struct rollout_version *said)
{
    json_put_object(w, "verdict");
    json_put_time(w, "since", said->judged);
    json_put_text(w, "why", slice_of_text(said->why));
    json_write_object_end(w);
}

/* What the judge knows. */
static void write_evidence(struct json_writer *w, const struct trial *trial)
{
    struct judge_record record;
    trial_sum(trial, &record);
    json_put_object(w, "judged");
    json_put_u64(w, "requests", record.all);
    json_put_u64(w, "failures", record.failed);
    json_put_double(w, "p99_seconds", (double)judge_quantile(&record, 0.99) / (double)SECOND);
    json_write_object_end(w);
}

static void write_version(struct json_writer *w, const struct versions *versions, size_t i)
{
    const struct version *version = &versions->items[i];
    const struct expression *when = version->options->service->release.when;
    const struct rollout_version *said = rollout_find(versions->rollout, version->name);
    json_write_object(w);
    json_put_text(w, "name", version->name);
    json_put_text(w, "service", version->service->name);
    json_put_double(w, "share", versions_share(versions, i));
    json_put_double(w, "file_share", version->options->share);
    if (when)
        json_put_text(w, "when", expression_source(when));
    if (version->service->trial)
        write_evidence(w, version->service->trial);
    if (said && said->judged)
        write_verdict(w, said);
    json_write_object_end(w);
}

/* Who has said that not the file's shares hold. */
static void write_shift(struct json_writer *w, const struct rollout *rollout)
{
    if (!rollout->shifted)
        return;
    json_put_object(w, "shift");
    json_put_time(w, "time", rollout->shifted);
    json_put_text(w, "by", slice_of_text(rollout->who));
    json_write_object_end(w);
}

void versions_describe(const struct versions *versions, struct json_writer *w)
{
    const struct stay_options *stay = &versions->service->options->release.stay;
    json_write_object(w);
    json_put_text(w, "name", versions->service->name);
    if (stay->by)
        json_put_text(w, "stay", expression_source(stay->by));
    else if (stay->cookie.size)
        json_put_text(w, "stay", stay->cookie);
    write_shift(w, versions->rollout);
    json_put_array(w, "versions");
    for (size_t i = 0; i < versions->count; i++)
        write_version(w, versions, i);
    json_write_array_end(w);
    if (versions->service->mirror)
        mirror_describe(versions->service->mirror, w);
    json_write_key(w, SLICE("events"));
    history_write(&versions->service->guard->history, w);
    json_write_key(w, SLICE("endpoints")); /* are those of its versions */
    json_write_array(w);
    json_write_array_end(w);
    json_write_object_end(w);
}

void versions_explain(const struct versions *versions, struct exchange *x, struct text *text)
{
    struct version_choice choice = versions_choose(versions, x);
    size_t i = (size_t)(choice.version - versions->items);
    double percent = versions_share(versions, i) * 100;
    const struct expression *when = choice.version->options->service->release.when;
    const struct stay_options *stay = &versions->service->options->release.stay;
    text_format(text, ", version %.*s", SLICE_ARG(choice.version->name));
    switch (choice.reason) {
    case VERSION_ONLY:
        text_add_literal(text, " as always");
        break;
    case VERSION_WHEN:
        text_format(text, " since %.*s", SLICE_ARG(expression_source(when)));
        break;
    case VERSION_KNOWN:
        text_format(text, " of %.4g%% by %.*s", percent,
            SLICE_ARG(stay->by ? expression_source(stay->by) : stay->cookie));
        break;
    case VERSION_NEW:
        text_format(text, " perhaps, of %.4g%%", percent);
        break;
    }
    service_explain(choice.version->service, x, text);
}
