#include "gateway/tls_keeper.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json_writer.h"
#include "base/metrics.h"
#include "gateway/gateway_state.h"
#include "service/errand.h"

#define LOOK_EVERY   MINUTE /* for what has changed about certificates */
#define REMIND_EVERY DAY    /* of one that ends soon */

static const struct metric_family ends = {"weir_tls_certificate_expiry_timestamp_seconds",
    "When a certificate ends; 0: it is no longer used.", METRIC_GAUGE, {"certificate"}, 0};
static const struct metric_family fetches = {"weir_tls_ocsp_fetches_total",
    "Questions to certificates' OCSP responders.", METRIC_COUNTER, {"certificate", "result"}, 0};
static const struct metric_family stapled = {"weir_tls_ocsp_staple_expiry_timestamp_seconds",
    "When the OCSP response that is stapled ends; 0: none is.", METRIC_GAUGE, {"certificate"}, 0};

static const struct metric_family rotations = {"weir_tls_ticket_rotations_total",
    "Times that session tickets got a new key.", METRIC_COUNTER, {NULL}, 0};

/* A certificate whose series are set: when it leaves the configuration they become 0. */
struct shown {
    struct list node;
    uint32_t ends, staple, fetched, failed; /* series */
    uint64_t fetched_before, failed_before;
    const struct certificate *of; /* by address alone: whose counters `before` has */
    bool is_served;
    size_t size;
    char file[];
};

struct tls_keeper {
    struct gateway *gateway; /* borrowed */
    struct errand *errand;
    struct list shown;        /* owned */
    int64_t rotated;          /* when the tickets' key was last changed: nanoseconds, loop time */
    int64_t reminded;         /* wall-clock nanoseconds */
    uint32_t rotations;       /* series */
    const char *last_problem; /* of asking responders, that was said last */
};

/* --- metrics */

static struct metrics_shard *shard_of(const struct tls_keeper *keeper)
{
    return keeper->gateway->foundation.shards[keeper->gateway->foundation.workers];
}

static void register_series(struct shown *shown, struct metrics *metrics)
{
    struct slice file = slice_of(shown->file, shown->size);
    shown->ends = metrics_series(metrics, &ends, &file);
    shown->staple = metrics_series(metrics, &stapled, &file);
    shown->fetched = metrics_series(metrics, &fetches, (struct slice[]){file, SLICE("ok")});
    shown->failed = metrics_series(metrics, &fetches, (struct slice[]){file, SLICE("failed")});
}

static struct shown *show(struct tls_keeper *keeper, struct slice file)
{
    list_each (node, &keeper->shown) {
        struct shown *shown = list_entry(node, struct shown, node);
        if (slice_equal(slice_of(shown->file, shown->size), file))
            return shown;
    }
    struct shown *shown = calloc(1, sizeof *shown + file.size + 1);
    if (!shown)
        return NULL;
    shown->size = file.size;
    memcpy(shown->file, file.data, file.size);
    register_series(shown, keeper->gateway->foundation.metrics);
    list_push_back(&keeper->shown, &shown->node);
    return shown;
}

static void count(struct metrics_shard *shard, uint32_t series, uint64_t value, uint64_t *before)
{
    if (value > *before)
        metric_add(shard, series, value - *before);
    *before = value;
}

static void show_certificate(struct tls_keeper *keeper, const struct served_certificate *served)
{
    struct shown *shown = show(keeper, served->cert_path);
    const struct certificate *certificate = served->certificate;
    struct metrics_shard *shard = shard_of(keeper);
    if (!shown)
        return;
    if (shown->of != certificate)
        shown->fetched_before = shown->failed_before = 0;
    shown->of = certificate;
    shown->is_served = true;
    metric_set(shard, shown->ends, tls_identity_until(certificate->identity));
    metric_set(shard, shown->staple, certificate->staple.until / SECOND);
    count(shard, shown->fetched, certificate->staple.fetched, &shown->fetched_before);
    count(shard, shown->failed, certificate->staple.failed, &shown->failed_before);
}

static const struct tls_plan *plan_of(const struct tls_keeper *keeper)
{
    return keeper->gateway->snapshot ? keeper->gateway->snapshot->tls : NULL;
}

static void collect(void *argument, struct metrics *metrics)
{
    struct tls_keeper *keeper = argument;
    const struct tls_plan *plan = plan_of(keeper);
    (void)metrics;
    list_each (node, &keeper->shown)
        list_entry(node, struct shown, node)->is_served = false;
    for (size_t i = 0; plan && i < plan->count; i++)
        show_certificate(keeper, &plan->certificates[i]);
    list_each (node, &keeper->shown) {
        struct shown *shown = list_entry(node, struct shown, node);
        if (shown->is_served)
            continue;
        shown->of = NULL;
        metric_set(shard_of(keeper), shown->ends, 0);
        metric_set(shard_of(keeper), shown->staple, 0);
    }
}

/* --- what an operator has to see to */

static void say(
    const struct tls_keeper *keeper, const char *format, struct slice file, int64_t days)
{
    const struct gateway *gateway = keeper->gateway;
    char room[512];
    struct text text = text_fixed(room, sizeof room - 1);
    text_format(&text, format, SLICE_ARG(slice_head(file, 300)), (long long)days);
    room[text.size] = '\0';
    if (gateway->hooks && gateway->hooks->notice)
        gateway->hooks->notice(gateway->hooks_argument, room);
}

static void remind(struct tls_keeper *keeper, const struct tls_plan *plan)
{
    int64_t now = clock_wall();
    if (now - keeper->reminded < REMIND_EVERY)
        return;
    keeper->reminded = now;
    for (size_t i = 0; i < plan->count; i++) {
        const struct served_certificate *served = &plan->certificates[i];
        int64_t left = tls_identity_until(served->certificate->identity) * SECOND - now;
        if (left < 0)
            say(keeper, "the certificate %.*s has expired", served->cert_path, 0);
        else if (left < CERTIFICATE_WARNING)
            say(keeper, "the certificate %.*s expires in %lld days", served->cert_path, left / DAY);
    }
}

static void say_problem(struct tls_keeper *keeper, const struct tls_plan *plan)
{
    const char *problem = NULL;
    struct slice file = SLICE_NONE;
    for (size_t i = 0; !problem && i < plan->count; i++) {
        problem = plan->certificates[i].certificate->staple.problem;
        file = plan->certificates[i].cert_path;
    }
    if (problem && problem != keeper->last_problem) {
        char format[256];
        snprintf(format, sizeof format, "no OCSP response for the certificate %%.*s: %s", problem);
        say(keeper, format, file, 0);
    }
    keeper->last_problem = problem;
}

static void rotate(struct tls_keeper *keeper)
{
    if (tls_tickets_rotate(keeper->gateway->foundation.tickets))
        return; /* no random numbers: the next look is soon */
    keeper->rotated = loop_now();
    metric_add(shard_of(keeper), keeper->rotations, 1);
}

static void keep(void *owner)
{
    struct tls_keeper *keeper = owner;
    while (!fiber_sleep_until(loop_now() + LOOK_EVERY) && !errand_is_stopped()) {
        const struct tls_plan *plan = plan_of(keeper);
        if (loop_now() - keeper->rotated >= TLS_TICKET_ROTATE_EVERY)
            rotate(keeper);
        if (plan) {
            remind(keeper, plan);
            say_problem(keeper, plan);
        }
    }
}

/* --- its life */

enum status tls_keeper_new(struct gateway *gateway, struct tls_keeper **ret_keeper)
{
    struct tls_keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return NO_MEMORY;
    keeper->gateway = gateway;
    keeper->rotated = loop_now();
    keeper->reminded = clock_wall(); /* loading has said what there is to say now */
    list_init(&keeper->shown);
    keeper->rotations = metrics_series(gateway->foundation.metrics, &rotations, NULL);
    metrics_add_collector(gateway->foundation.metrics, collect, keeper);
    errand_start(loop_current(), keep, keeper, &keeper->errand);
    *ret_keeper = keeper;
    return OK;
}

void tls_keeper_stop(struct tls_keeper *keeper)
{
    if (keeper)
        errand_stop(&keeper->errand);
}

void tls_keeper_free(struct tls_keeper *keeper)
{
    struct list *node;
    if (!keeper)
        return;
    while ((node = list_pop_front(&keeper->shown)))
        free(list_entry(node, struct shown, node));
    free(keeper);
}

/* --- status */

static void write_staple(struct json_writer *writer, const struct staple *staple)
{
    if (staple->until)
        json_put_time(writer, "ocsp_until", staple->until);
    if (staple->problem)
        json_put_text(writer, "ocsp_problem", slice_of_text(staple->problem));
}

static void write_certificate(struct json_writer *writer, const struct served_certificate *served)
{
    const struct tls_identity *identity = served->certificate->identity;
    json_write_object(writer);
    json_put_text(writer, "file", served->cert_path);
    json_put_array(writer, "names");
    for (size_t i = 0; i < served->name_count; i++)
        json_write_string(writer, served->names[i]);
    json_write_array_end(writer);
    json_put_time(writer, "until", tls_identity_until(identity) * SECOND);
    json_put_text(writer, "fingerprint", slice_of_text(tls_identity_fingerprint(identity)));
    write_staple(writer, &served->certificate->staple);
    json_write_object_end(writer);
}

void tls_plan_describe(const struct tls_plan *plan, struct json_writer *writer)
{
    json_put_array(writer, "certificates");
    for (size_t i = 0; plan && i < plan->count; i++)
        write_certificate(writer, &plan->certificates[i]);
    json_write_array_end(writer);
}
