#include "service/rollout.h"

#include "base/hash.h"
#include "base/json.h"
#include "service/guard.h"

#include <math.h>
#include <stdio.h>

static const struct metric_family shifts_family = {"weir_version_shifts_total",
    "How often the shares of a service's versions were changed, and by whom: an operator, the "
    "judge, or the file that ended what these had said.",
    METRIC_COUNTER, {"service", "by"}};
static const struct metric_family time_family = {"weir_version_shift_timestamp_seconds",
    "When that was last, in seconds since 1970.", METRIC_GAUGE, {"service"}};

/* --- telling people */

static void tell(struct guard *guard, const char *by, struct slice line)
{
    const struct service_plane_options *plane = &guard->plane->options;
    struct slice labels[] = {guard->name, slice_of_text(by)};
    char room[2048];
    guard_note(guard, "%.*s", SLICE_ARG(line));
    if (plane->notice) {
        snprintf(room, sizeof room, "service %.*s: %.*s", SLICE_ARG(slice_head(guard->name, 200)),
            SLICE_ARG(line));
        plane->notice(plane->notice_argument, room);
    }
    if (plane->metrics) {
        metric_add(plane->control_shard, metrics_series(plane->metrics, &shifts_family, labels), 1);
        metric_set(plane->control_shard, metrics_series(plane->metrics, &time_family, labels),
            clock_wall() / SECOND);
    }
}

static void add_shares(const struct versions *versions, struct text *text)
{
    for (size_t i = 0; i < versions->count; i++)
        text_format(text, "%s%.*s %.4g%%", i ? ", " : "", SLICE_ARG(versions->items[i].name),
            versions_share(versions, i) * 100);
}

/* --- what is said of which version */

static struct rollout_version *find(struct rollout *rollout, struct slice name)
{
    for (size_t i = 0; i < rollout->count; i++)
        if (slice_equal(slice_of_text(rollout->items[i].name), name))
            return &rollout->items[i];
    return NULL;
}

const struct rollout_version *rollout_find(const struct rollout *rollout, struct slice name)
{
    return find((struct rollout *)rollout, name);
}

static struct rollout_version *obtain(struct rollout *rollout, struct slice name)
{
    struct rollout_version *item = find(rollout, name);
    if (item || rollout->count == VERSIONS_MAX || name.size >= sizeof item->name)
        return item;
    item = &rollout->items[rollout->count++];
    *item = (struct rollout_version){.share = 0};
    bytes_put(item->name, name);
    return item;
}

static bool is_out(const struct versions *versions, size_t i)
{
    const struct rollout_version *item = rollout_find(versions->rollout, versions->items[i].name);
    return item && item->judged;
}

static void forget(struct rollout *rollout)
{
    rollout->shifted = 0;
    rollout->count = 0;
    rollout->who[0] = 0;
}

/* --- shares */

/* The same for the same names and shares, in whatever order; never 0. */
static uint64_t print_of(const struct versions *versions)
{
    uint64_t print = 0;
    for (size_t i = 0; i < versions->count; i++) {
        const struct version_options *options = versions->items[i].options;
        print += hash_bytes_seeded(options->name, (uint64_t)llround(options->share * 1e9));
    }
    return print | 1;
}

static double file_share(const struct versions *versions, size_t i)
{
    return versions->items[i].options->share;
}

static double said_share(const struct versions *versions, size_t i)
{
    const struct rollout_version *item = rollout_find(versions->rollout, versions->items[i].name);
    return !versions->rollout->shifted ? file_share(versions, i) : item ? item->share : 0;
}

static double even_share(const struct versions *versions, size_t i)
{
    (void)versions;
    (void)i;
    return 1;
}

/* Those whom `may` lets have something divide `whole` as the first of these says who gives them
 * anything. False when there is nobody. */
static bool divide(const struct versions *versions, const bool *may, double whole, double *shares)
{
    static double (*const ways[])(const struct versions *, size_t) = {
        said_share, file_share, even_share};
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        double sum = 0;
        for (size_t i = 0; i < versions->count; i++)
            sum += may[i] ? ways[way](versions, i) : 0;
        if (sum <= 0)
            continue;
        for (size_t i = 0; i < versions->count; i++)
            if (may[i])
                shares[i] = whole * ways[way](versions, i) / sum;
        return true;
    }
    return false;
}

static void apply(struct versions *versions)
{
    bool may[VERSIONS_MAX];
    double shares[VERSIONS_MAX] = {0};
    for (size_t i = 0; i < versions->count; i++)
        may[i] = !is_out(versions, i);
    if (!divide(versions, may, 1, shares))
        return; /* the judge leaves one in */
    for (size_t i = 0; i < versions->count; i++) {
        versions->shares[i] = shares[i];
        atomic_store_explicit(&versions->items[i].is_out, !may[i], memory_order_relaxed);
        atomic_store_explicit(&versions->items[i].has_share, shares[i] > 0, memory_order_relaxed);
    }
    split_set(&versions->split, shares);
}

static void apply_all(struct rollout *rollout)
{
    list_each (node, &rollout->versions) {
        struct versions *versions = list_entry(node, struct versions, node);
        if (versions->print == rollout->print)
            apply(versions);
    }
}

/* --- configurations come and go */

void rollout_join(struct versions *versions)
{
    struct rollout *rollout = versions->rollout;
    versions->print = print_of(versions);
    list_push_back(&rollout->versions, &versions->node);
    if (versions->print == rollout->print) {
        apply(versions);
        return;
    }
    for (size_t i = 0; i < versions->count; i++) {
        versions->shares[i] = file_share(versions, i);
        versions->items[i].has_share = versions->shares[i] > 0;
    }
    split_set(&versions->split, versions->shares);
}

void rollout_leave(struct versions *versions)
{
    list_remove(&versions->node);
    if (versions->rollout->active == versions)
        versions->rollout->active = NULL;
}

void rollout_adopt(struct versions *versions)
{
    struct rollout *rollout = versions->rollout;
    bool had_words = rollout->count > 0;
    rollout->active = versions;
    if (rollout->print != versions->print) {
        forget(rollout);
        rollout->print = versions->print;
        apply_all(rollout);
        if (had_words) {
            char room[1024];
            struct text line = text_fixed(room, sizeof room);
            text_add_literal(&line, "the file has other versions or shares, which hold: ");
            add_shares(versions, &line);
            tell(versions->service->guard, "file", text_slice(&line));
        }
    }
    versions_show(versions);
}

/* --- words */

static void show_all(const struct rollout *rollout)
{
    list_each (node, &rollout->versions) {
        const struct versions *versions = list_entry(node, struct versions, node);
        if (versions->print == rollout->print)
            versions_show(versions);
    }
}

static void follow(struct versions *versions, const char *by, struct text *line)
{
    apply_all(versions->rollout);
    show_all(versions->rollout);
    add_shares(versions, line);
    tell(versions->service->guard, by, text_slice(line));
}

void rollout_condemn(struct versions *versions, size_t i, const char *why)
{
    char room[1024];
    struct text line = text_fixed(room, sizeof room);
    struct rollout_version *item = obtain(versions->rollout, versions->items[i].name);
    if (!item)
        return;
    item->judged = clock_wall();
    snprintf(item->why, sizeof item->why, "%s", why);
    text_format(&line, "%s is out: %s; ", item->name, why);
    follow(versions, "judge", &line);
}

static size_t index_of(const struct versions *versions, struct slice name)
{
    size_t i = 0;
    while (i < versions->count && !slice_equal(versions->items[i].name, name))
        i++;
    return i;
}

struct plan {
    const struct versions *versions;
    double shares[VERSIONS_MAX];
    bool is_named[VERSIONS_MAX];
};

static enum status plan_named(struct plan *plan, const struct shift_wish *wish, double *ret_rest,
    struct arena *arena, struct slice *ret_problem)
{
    struct slice name = plan->versions->service->name;
    double sum = 0;
    for (size_t n = 0; n < wish->count; n++) {
        struct slice version = wish->shares[n].version;
        size_t i = index_of(plan->versions, version);
        if (i == plan->versions->count) {
            *ret_problem = arena_format(arena, "Service \"%.*s\" has no version \"%.*s\".",
                SLICE_ARG(name), SLICE_ARG(slice_head(version, 100)));
            return NOT_FOUND;
        }
        if (plan->is_named[i]) {
            *ret_problem =
                arena_format(arena, "Version \"%.*s\" is named twice.", SLICE_ARG(version));
            return INVALID;
        }
        plan->is_named[i] = true;
        plan->shares[i] = wish->shares[n].share;
        sum += plan->shares[i];
    }
    if (sum > 1 + 1e-9) {
        *ret_problem = arena_format(arena, "The versions would have %.4g%% together.", sum * 100);
        return INVALID;
    }
    *ret_rest = sum < 1 - 1e-9 ? 1 - sum : 0;
    return OK;
}

static enum status plan_rest(
    struct plan *plan, double rest, struct arena *arena, struct slice *ret_problem)
{
    bool may[VERSIONS_MAX];
    for (size_t i = 0; i < plan->versions->count; i++)
        may[i] = !plan->is_named[i] && !is_out(plan->versions, i);
    if (rest > 0 && !divide(plan->versions, may, rest, plan->shares)) {
        *ret_problem = arena_format(arena, "No version is left for the other %.4g%%.", rest * 100);
        return INVALID;
    }
    return OK;
}

static void carry_out(struct rollout *rollout, const struct plan *plan)
{
    for (size_t i = 0; i < plan->versions->count; i++) {
        struct rollout_version *item = obtain(rollout, plan->versions->items[i].name);
        if (!item)
            continue;
        item->share = plan->shares[i];
        if (plan->is_named[i])
            item->judged = 0;
    }
    rollout->shifted = clock_wall();
}

static enum status shift(struct versions *versions, const struct shift_wish *wish,
    struct arena *arena, struct slice *ret_problem)
{
    struct plan plan = {.versions = versions};
    double rest;
    enum status e = plan_named(&plan, wish, &rest, arena, ret_problem);
    if (!e)
        e = plan_rest(&plan, rest, arena, ret_problem);
    if (!e)
        carry_out(versions->rollout, &plan);
    return e;
}

enum status service_shift(const struct service *service, const struct shift_wish *wish,
    struct arena *arena, struct slice *ret_problem)
{
    char room[1024];
    struct text line = text_fixed(room, sizeof room);
    struct versions *versions = service->versions;
    if (!versions) {
        *ret_problem =
            arena_format(arena, "Service \"%.*s\" has no versions.", SLICE_ARG(service->name));
        return INVALID;
    }
    enum status e = wish->is_reset ? OK : shift(versions, wish, arena, ret_problem);
    if (e)
        return e;
    if (wish->is_reset)
        forget(versions->rollout);
    else
        snprintf(versions->rollout->who, sizeof versions->rollout->who, "%.*s",
            SLICE_ARG(slice_head(wish->who, SHIFT_WHO)));
    text_format(&line, "%s by %.*s: ", wish->is_reset ? "the file's shares again" : "shifted",
        SLICE_ARG(wish->who));
    follow(versions, "operator", &line);
    return OK;
}
