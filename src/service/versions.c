#include "service/versions.h"

#include "base/hash.h"
#include "base/random.h"
#include "http/cookie.h"
#include "run/loop.h"
#include "service/rollout.h"
#include "service/trial.h"

#include <stdio.h>

#define USER_DIGITS 16

/* --- making them */

static const struct metric_family requests_family = {"weir_version_requests_total",
    "Requests and connections by the version they went to, and why: its condition, a user who was "
    "known, or one who was drawn; and all, when a version has everything.",
    METRIC_COUNTER, {"service", "version", "by"}};
static const struct metric_family share_family = {"weir_version_share_ratio",
    "The part of the users that a version gets.", METRIC_GAUGE, {"service", "version"}, 1000000};

static uint32_t requests_series(
    struct metrics *metrics, struct slice service, struct slice version, struct slice by)
{
    return metrics_series(metrics, &requests_family, (const struct slice[]){service, version, by});
}

static void add_series(struct metrics *metrics, struct slice service, struct version *version)
{
    struct slice labels[] = {service, version->name};
    version->when_series = requests_series(metrics, service, version->name, SLICE("condition"));
    version->known_series = requests_series(metrics, service, version->name, SLICE("known"));
    version->new_series = requests_series(metrics, service, version->name, SLICE("drawn"));
    version->only_series = requests_series(metrics, service, version->name, SLICE("all"));
    version->share_series = metrics_series(metrics, &share_family, labels);
}

/* The judge wants to know what becomes of its requests. The snapshot is nobody else's yet. */
static enum status compare(struct service *service)
{
    service->trial = trial_obtain(service->guard);
    return service->trial ? OK : NO_MEMORY;
}

static enum status prepare_version(struct service_plane *plane, struct reader *reader,
    const struct discovery_defaults *defaults, struct versions *versions,
    const struct version_options *options)
{
    struct version *version = &versions->items[versions->count];
    struct slice outer = reader->subject, above = versions->service->name;
    struct slice name =
        arena_format(reader->arena, "%.*s.%.*s", SLICE_ARG(above), SLICE_ARG(options->name));
    reader->subject = arena_format(reader->arena, "service \"%.*s\"", SLICE_ARG(name));
    version->name = options->name;
    version->options = options;
    if (!name.data || !reader->subject.data)
        return NO_MEMORY;
    enum status e =
        service_prepare(plane, reader, name, options->service, defaults, &version->service);
    reader->subject = outer;
    if (!e && versions->service->options->release.judge.is_set)
        e = compare((struct service *)version->service);
    if (plane->options.metrics)
        add_series(plane->options.metrics, above, version);
    versions->count += !e;
    return e;
}

static void leave(void *versions)
{
    rollout_leave(versions);
}

static enum status begin_split(struct arena *arena, struct versions *versions)
{
    uint64_t seeds[VERSIONS_MAX];
    for (size_t i = 0; i < versions->count; i++)
        seeds[i] = hash_bytes(versions->items[i].name);
    split_init(&versions->split, seeds, versions->count);
    list_init(&versions->node);
    if (!arena_defer(arena, leave, versions))
        return NO_MEMORY;
    rollout_join(versions);
    return OK;
}

enum status versions_prepare(struct service_plane *plane, struct reader *reader,
    const struct discovery_defaults *defaults, struct service *service)
{
    const struct release_options *release = &service->options->release;
    struct versions *versions =
        arena_zalloc(reader->arena, sizeof *versions + release->count * sizeof *versions->items);
    if (!versions)
        return NO_MEMORY;
    service->guard = guard_obtain(plane, service->name);
    versions->rollout = service->guard ? rollout_obtain(service->guard) : NULL;
    if (!versions->rollout)
        return NO_MEMORY;
    versions->service = service;
    versions->salt = hash_bytes(service->name);
    for (size_t i = 0; i < release->count; i++) {
        enum status e = prepare_version(plane, reader, defaults, versions, &release->versions[i]);
        if (e)
            return e;
    }
    service->versions = versions;
    return begin_split(reader->arena, versions);
}

void versions_show(const struct versions *versions)
{
    const struct service_plane_options *plane = &versions->service->plane->options;
    for (size_t i = 0; plane->metrics && i < versions->count; i++)
        metric_set(plane->control_shard, versions->items[i].share_series,
            (int64_t)(versions_share(versions, i) * 1e6 + 0.5));
}

/* --- who the user is */

static bool read_user(struct slice text, uint64_t *ret_user)
{
    uint64_t user = 0;
    if (text.size != USER_DIGITS)
        return false;
    for (size_t i = 0; i < USER_DIGITS; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        user = user << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret_user = user;
    return true;
}

static bool is_known(const struct stay_options *stay, struct exchange *x, uint64_t *ret_user)
{
    if (stay->by) {
        struct slice text = expression_text(stay->by, x);
        if (text.size) {
            *ret_user = hash_bytes(text);
            return true;
        }
    }
    return stay->cookie.size && read_user(cookie_value(&x->request.fields, stay->cookie), ret_user);
}

static uint64_t salted(const struct versions *versions, uint64_t user)
{
    return hash_bytes_seeded(slice_of((const char *)&user, sizeof user), versions->salt);
}

/* --- choosing */

static const struct version *by_condition(const struct versions *versions, struct exchange *x)
{
    for (size_t i = 0; i < versions->count; i++) {
        const struct expression *when = versions->items[i].options->service->release.when;
        const struct version *version = &versions->items[i];
        if (when && !atomic_load_explicit(&version->is_out, memory_order_relaxed) &&
            expression_is_true(when, x))
            return version;
    }
    return NULL;
}

static const struct version *largest(const struct versions *versions)
{
    size_t best = 0;
    for (size_t i = 1; i < versions->count; i++)
        if (versions_share(versions, i) > versions_share(versions, best))
            best = i;
    return &versions->items[best];
}

static struct version_choice by_share(const struct versions *versions, struct exchange *x)
{
    const struct stay_options *stay = &versions->service->options->release.stay;
    struct version_choice choice = {.reason = VERSION_KNOWN};
    if (!is_known(stay, x, &choice.user)) {
        choice.reason = VERSION_NEW;
        choice.user = random_next(loop_random());
        choice.sets_cookie = stay->cookie.size && !x->grpc;
        if (x->is_rehearsal) {
            choice.version = largest(versions);
            return choice;
        }
    }
    uint32_t place = split_pick(&versions->split, salted(versions, choice.user));
    choice.version = &versions->items[place];
    return choice;
}

struct version_choice versions_choose(const struct versions *versions, struct exchange *x)
{
    struct version_choice choice = {.version = by_condition(versions, x), .reason = VERSION_WHEN};
    uint32_t only = split_only(&versions->split);
    if (!choice.version && only < versions->count)
        choice = (struct version_choice){.version = &versions->items[only], .reason = VERSION_ONLY};
    return choice.version ? choice : by_share(versions, x);
}

bool versions_is_evidence(const struct version_choice *choice)
{
    return choice->reason != VERSION_WHEN ||
           !atomic_load_explicit(&choice->version->has_share, memory_order_relaxed);
}

static void count(
    const struct versions *versions, const struct version_choice *choice, unsigned worker)
{
    const struct version *version = choice->version;
    const uint32_t series[] = {[VERSION_ONLY] = version->only_series,
        [VERSION_WHEN] = version->when_series,
        [VERSION_KNOWN] = version->known_series,
        [VERSION_NEW] = version->new_series};
    metric_add(plane_shard(versions->service->plane, worker), series[choice->reason], 1);
}

void versions_count(
    const struct versions *versions, const struct version_choice *choice, unsigned worker)
{
    if (versions->service->plane->options.metrics)
        count(versions, choice, worker);
}

void versions_keep_user(
    const struct versions *versions, const struct version_choice *choice, struct exchange *x)
{
    const struct stay_options *stay = &versions->service->options->release.stay;
    if (!choice->sets_cookie)
        return;
    struct slice text =
        arena_format(&x->arena, "%.*s=%0*llx; Path=/%s; HttpOnly; Max-Age=%lld; SameSite=Lax",
            SLICE_ARG(stay->cookie), USER_DIGITS, (unsigned long long)choice->user,
            x->is_secure ? "; Secure" : "", (long long)(stay->time / SECOND));
    if (text.data) /* without memory the next request is drawn anew */
        (void)fields_add_made(&x->response.fields, FIELD_SET_COOKIE, text);
}

const struct service *versions_draw(const struct versions *versions, unsigned worker)
{
    uint32_t place = split_only(&versions->split);
    struct version_choice choice = {.reason = VERSION_ONLY};
    if (place >= versions->count) {
        place = split_pick(&versions->split, random_next(loop_random()));
        choice.reason = VERSION_NEW;
    }
    choice.version = &versions->items[place];
    versions_count(versions, &choice, worker);
    return choice.version->service;
}

double versions_share(const struct versions *versions, size_t i)
{
    return versions->shares[i];
}
