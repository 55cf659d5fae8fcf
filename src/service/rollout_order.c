/* What was said of versions, for a successor: "shift", the service, the print of the file's shares,
 * when and by whom; then for each version "share", the service, the version, its share, since when
 * it is out, and why. A line each, with tabs between (order.h). */
#include "service/rollout.h"

#include "base/json.h"
#include "service/guard.h"
#include "service/order.h"

#include <stdlib.h>

static void save(const struct guard *guard, struct text *text)
{
    const struct rollout *rollout = guard->rollout;
    text_format(text, "shift\t%.*s\t%llx\t%lld\t%s\n", SLICE_ARG(guard->name),
        (unsigned long long)rollout->print, (long long)rollout->shifted, rollout->who);
    for (size_t i = 0; i < rollout->count; i++) {
        const struct rollout_version *item = &rollout->items[i];
        text_format(text, "share\t%.*s\t%s\t%.17g\t%lld\t%s\n", SLICE_ARG(guard->name), item->name,
            item->share, (long long)item->judged, item->why);
    }
}

void rollouts_save(const struct service_plane *plane, struct text *text)
{
    list_each (node, &plane->guards) {
        const struct guard *guard = list_entry(node, struct guard, node);
        if (guard->rollout && guard->rollout->count)
            save(guard, text);
    }
}

static bool take_number(struct slice *line, int64_t *ret_number)
{
    struct slice word;
    uint64_t number;
    if (!slice_split(line, '\t', &word) || !slice_to_u64(word, &number) || number > INT64_MAX)
        return false;
    *ret_number = (int64_t)number;
    return true;
}

static bool take_head(struct rollout *rollout, struct slice line)
{
    struct slice print;
    struct rollout read = {.print = 0};
    if (!slice_split(&line, '\t', &print) || !slice_to_hex_u64(print, &read.print) ||
        !take_number(&line, &read.shifted) || line.size > SHIFT_WHO)
        return false;
    rollout->print = read.print;
    rollout->shifted = read.shifted;
    memcpy(rollout->who, line.data, line.size);
    rollout->who[line.size] = 0;
    return true;
}

static bool take_version(struct rollout *rollout, struct slice line)
{
    struct slice name, share;
    struct rollout_version read = {.share = 0};
    if (rollout->count == VERSIONS_MAX || !slice_split(&line, '\t', &name) || !name.size ||
        name.size >= sizeof read.name || !slice_split(&line, '\t', &share) ||
        json_to_double(share, &read.share) || !(read.share >= 0 && read.share <= 1) ||
        !take_number(&line, &read.judged) || line.size >= sizeof read.why)
        return false;
    memcpy(read.name, name.data, name.size);
    memcpy(read.why, line.data, line.size);
    rollout->items[rollout->count++] = read;
    return true;
}

/* A line that makes no sense says nothing. */
static bool take(struct rollout *rollout, struct slice service, struct slice line)
{
    struct slice kind, name;
    if (!slice_split(&line, '\t', &kind) || !slice_split(&line, '\t', &name) ||
        !slice_equal(name, service) || !line.data)
        return false;
    if (slice_equal(kind, SLICE("shift")))
        return take_head(rollout, line);
    return slice_equal(kind, SLICE("share")) && take_version(rollout, line);
}

static void restore(struct rollout *rollout, struct service_plane *plane, struct slice service)
{
    struct slice rest = text_slice(&plane->orders), line;
    while (rest.size && slice_split(&rest, '\n', &line))
        if (take(rollout, service, line))
            plane->orders.data[line.data - plane->orders.data] = '#'; /* it has been heard */
}

struct rollout *rollout_obtain(struct guard *guard)
{
    if (guard->rollout)
        return guard->rollout;
    struct rollout *rollout = calloc(1, sizeof *rollout);
    if (!rollout)
        return NULL;
    list_init(&rollout->versions);
    restore(rollout, guard->plane, guard->name);
    guard->rollout = rollout;
    return rollout;
}
