/* Instances that register themselves at the control API (instances.h). */
#include "service/finder.h"

#include "run/loop.h"
#include "service/instances.h"

#define HEARD_EVERY (10 * SECOND)

struct registry_options {
    struct source_options common;
    struct slice token;
    struct instances *instances; /* counted */
};

static const struct option rows[] = {SOURCE_ROWS,
    {"token", OPTION_SECRET, offsetof(struct registry_options, token),
        .help = "Who shows it (Authorization: Bearer TOKEN) may register at the addresses of "
                "`admin` too; without, only who may use the control socket."},
    {NULL}};

static const struct option_table table = {.name = "registry",
    .help = "Instances that register themselves with the gateway: `registry://user` has those that "
            "say PUT /v1/services/user/instances/ID to the control API, again and again before "
            "their lease is over.",
    .options = rows,
    .size = sizeof(struct registry_options),
    .example = "{token: \"${REGISTRY_TOKEN}\"}"};

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    struct registry_options *options = value;
    struct slice name = finder_rest(finder);
    if (slice_find(name, '/') < name.size || slice_find(name, '?') < name.size)
        return diagnostics_error(reader->diagnostics, place, SLICE("registry://user"),
            "the name of a service has no slash in it");
    return instances_obtain(finder_plane(finder), name, options->token, &options->instances);
}

static void release(void *value)
{
    struct registry_options *options = value;
    instances_unref(options->instances);
}

static enum status report(struct finder *finder, const struct instances *instances)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct findings findings = {.arena = &arena};
    enum status e = instances_find_all(instances, &findings);
    if (!e)
        e = finder_report(finder, &findings);
    arena_release(&arena);
    return e;
}

static enum status follow(struct finder *finder, void *value)
{
    const struct registry_options *options = value;
    uint64_t index = 0;
    enum status e = OK;
    while (!e) {
        if (index != instances_index(options->instances))
            e = report(finder, options->instances);
        else
            finder_heard(finder);
        index = instances_index(options->instances);
        if (!e)
            e = instances_wait(options->instances, index, loop_now() + HEARD_EVERY);
        if (e == TIMEOUT)
            e = OK;
        if (fiber_is_cancelled(fiber_current()))
            e = CANCELLED;
    }
    return e;
}

const struct discovery registry_discovery = {.scheme = "registry",
    .form = "registry://SERVICE",
    .help = "Instances that register themselves.",
    .table = &table,
    .prepare = prepare,
    .follow = follow,
    .release = release};
