#include "gateway/acme_follow.h"

#include <stdlib.h>

#include "base/json_writer.h"
#include "base/metrics.h"
#include "gateway/gateway_state.h"

struct acme_follow {
    struct gateway *gateway;    /* borrowed */
    struct acme_keeper *keeper; /* owned; NULL once stopped */
};

static const struct metric_family orders = {"weir_acme_orders_total",
    "Certificates that were asked for, by how it ended.", METRIC_COUNTER, {"host", "result"}, 0};
static const struct metric_family failing = {"weir_acme_failing",
    "1 while the newest attempt to get a certificate for the name has failed.", METRIC_GAUGE,
    {"host"}, 0};

/* --- telling */

static void notice(struct gateway *gateway, struct slice text)
{
    char room[768];
    struct text line = text_fixed(room, sizeof room - 1);
    text_add(&line, slice_head(text, sizeof room - 1));
    room[line.size] = '\0';
    if (gateway->hooks && gateway->hooks->notice)
        gateway->hooks->notice(gateway->hooks_argument, room);
}

static void noticed(void *argument, struct slice text)
{
    notice(((struct acme_follow *)argument)->gateway, text);
}

/* The snapshot that is built now finds the new certificates in the storage. */
static void changed(void *argument)
{
    struct acme_follow *follow = argument;
    struct arena arena;
    struct diagnostics diagnostics;
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    if (!follow->gateway->is_draining)
        (void)gateway_reload(follow->gateway, &diagnostics); /* the hooks say how it went */
    arena_release(&arena);
}

/* --- metrics: series are raised to what the keeper counts, which begins anew with each name */

static void raise_to(
    struct metrics *metrics, struct metrics_shard *shard, uint32_t series, uint64_t value)
{
    uint64_t before = metrics_value(metrics, series);
    if (value > before)
        metric_add(shard, series, value - before);
}

static void collect(void *argument, struct metrics *metrics)
{
    const struct acme_follow *follow = argument;
    const struct foundation *foundation = &follow->gateway->foundation;
    struct metrics_shard *shard = foundation->shards[foundation->workers];
    for (size_t i = 0; i < acme_keeper_count(follow->keeper); i++) {
        struct acme_view view;
        acme_keeper_look(follow->keeper, i, &view);
        const struct slice issued[] = {view.name, SLICE("issued")};
        const struct slice failed[] = {view.name, SLICE("failed")};
        raise_to(metrics, shard, metrics_series(metrics, &orders, issued), view.issued);
        raise_to(metrics, shard, metrics_series(metrics, &orders, failed), view.failed);
        metric_set(
            shard, metrics_series(metrics, &failing, &view.name), view.phase == ACME_PHASE_FAILED);
    }
}

/* --- following */

static enum status begin(struct gateway *gateway)
{
    struct acme_follow *follow = calloc(1, sizeof *follow);
    if (!follow)
        return NO_MEMORY;
    follow->gateway = gateway;
    follow->keeper = acme_keeper_new(&(struct acme_keeper_owner){.changed = changed,
        .noticed = noticed,
        .argument = follow,
        .answers = gateway->foundation.answers});
    if (!follow->keeper) {
        free(follow);
        return NO_MEMORY;
    }
    gateway->acme = follow;
    metrics_add_collector(gateway->foundation.metrics, collect, follow);
    return OK;
}

void acme_follow(struct gateway *gateway)
{
    const struct snapshot *snapshot = gateway->snapshot;
    const struct tls_plan *plan = snapshot->tls;
    const struct acme_options *options = &snapshot->options->tls.acme;
    bool is_wanted = plan && plan->acme_count;
    const char *problem = NULL;
    if (!is_wanted && !gateway->acme)
        return;
    enum status e = gateway->acme ? OK : begin(gateway);
    if (!e)
        e = acme_keeper_use(gateway->acme->keeper, is_wanted ? options : NULL,
            is_wanted ? plan->acme_names : NULL, is_wanted ? plan->acme_count : 0,
            snapshot->options->listen.http.count > 0, &problem);
    if (e)
        notice(gateway, slice_of_text(problem ? problem : status_sentence(e)));
}

void acme_unfollow(struct gateway *gateway)
{
    if (!gateway->acme)
        return;
    struct acme_keeper *keeper = gateway->acme->keeper;
    gateway->acme->keeper = NULL;
    acme_keeper_free(keeper);
}

void acme_follow_free(struct acme_follow *follow)
{
    if (!follow)
        return;
    acme_keeper_free(follow->keeper);
    free(follow);
}

/* --- status */

static void write_view(struct json_writer *writer, const struct acme_view *view)
{
    json_write_object(writer);
    json_put_text(writer, "name", view->name);
    json_put_text(writer, "state", slice_of_text(acme_phase_word(view->phase)));
    if (view->until)
        json_put_time(writer, "until", view->until * SECOND);
    if (view->next)
        json_put_time(writer, "next", view->next * SECOND);
    json_put_u64(writer, "issued", view->issued);
    json_put_u64(writer, "failed", view->failed);
    if (view->problem.size)
        json_put_text(writer, "problem", view->problem);
    json_write_object_end(writer);
}

void acme_describe(const struct gateway *gateway, struct json_writer *writer)
{
    const struct acme_keeper *keeper = gateway->acme ? gateway->acme->keeper : NULL;
    json_put_array(writer, "acme");
    for (size_t i = 0; i < acme_keeper_count(keeper); i++) {
        struct acme_view view;
        acme_keeper_look(keeper, i, &view);
        write_view(writer, &view);
    }
    json_write_array_end(writer);
}

/* --- authorities' requests, on workers */

bool acme_answer(struct acme_answers *answers, struct exchange *x, enum status *ret_result)
{
    char text[ACME_ANSWER_MAX];
    size_t size;
    if (!slice_has_prefix(x->request.path, ACME_CHALLENGE_PATH) ||
        (x->request.method != METHOD_GET && x->request.method != METHOD_HEAD))
        return false;
    struct slice token = slice_from(x->request.path, ACME_CHALLENGE_PATH.size);
    if (!acme_answers_find(answers, token, text, &size))
        return false;
    struct slice copy = arena_copy(&x->arena, slice_of(text, size));
    *ret_result =
        copy.data ? exchange_respond(x, 200, SLICE("application/octet-stream"), copy) : NO_MEMORY;
    return true;
}
