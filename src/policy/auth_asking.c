#include "policy/auth_asking.h"

#include "run/loop.h"

void auth_asking_prepare(struct prepare *prepare, struct auth_asking *asking)
{
    static const struct metric_family unavailable = {.name = "weir_auth_unavailable_total",
        .help = "Requests of which nobody could say who they are from, by what became of them: "
                "refused, passed.",
        .kind = METRIC_COUNTER,
        .labels = {"auth", "then"}};
    asking->shards = prepare->shards;
    asking->refused = metrics_series(
        prepare->metrics, &unavailable, (const struct slice[]){prepare->name, SLICE("refused")});
    asking->passed = metrics_series(
        prepare->metrics, &unavailable, (const struct slice[]){prepare->name, SLICE("passed")});
}

enum status auth_asking_fail(const struct auth_asking *asking, struct exchange *x,
    const struct inquiry_target *target, enum status e, bool passes)
{
    if (x->is_rehearsal)
        return AUTH_UNAVAILABLE;
    if (e == NO_MEMORY || e == CANCELLED)
        return e;
    if (loop_now() >= x->deadline)
        return exchange_lateness(x);
    metric_add(asking->shards[x->worker], passes ? asking->passed : asking->refused, 1);
    x->facts.trouble = arena_format(&x->arena, "%.*s: %s", SLICE_ARG(target->text), status_word(e));
    return passes ? OK : AUTH_UNAVAILABLE;
}
