#include "support/asker.h"

#include <stdio.h>
#include <stdlib.h>

static const struct service *find_service(struct prepare *prepare, struct slice name)
{
    const struct asker *asker = prepare->loader;
    return slice_equal(name, SLICE("demo")) ? asker->rig->service : NULL;
}

static struct slice similar_service(struct prepare *prepare, struct slice name)
{
    (void)prepare;
    (void)name;
    return SLICE("demo");
}

static enum status obtain_service(struct prepare *prepare, struct slice address, struct place place,
    const struct service **ret_service)
{
    struct asker *asker = prepare->loader;
    (void)place;
    snprintf(asker->address, sizeof asker->address, "%.*s", SLICE_ARG(address));
    *ret_service = asker->rig->service;
    return OK;
}

struct asker *asker_new(void)
{
    struct asker *asker = calloc(1, sizeof *asker);
    assert_non_null(asker);
    asker->rig = rig_new();
    arena_init(&asker->arena, 0, 0);
    return asker;
}

void asker_free(struct asker *asker)
{
    arena_release(&asker->arena);
    rig_free(asker->rig);
    free(asker);
}

void asker_clear(struct asker *asker)
{
    struct rig *rig = asker->rig;
    diagnostics_init(&rig->diagnostics, &rig->snapshot);
    asker->reader = (struct reader){.arena = &rig->snapshot, .diagnostics = &rig->diagnostics};
    asker->prepare = (struct prepare){.reader = &asker->reader,
        .registry = rig->registry,
        .metrics = rig->metrics,
        .shards = rig->shards,
        .workers = 1,
        .name = SLICE("auth.shop"),
        .find_service = find_service,
        .similar_service = similar_service,
        .obtain_service = obtain_service,
        .loader = asker};
}

void asker_begin(struct asker *asker, const struct fake *fake)
{
    rig_service(asker->rig, "{at: \"%s\"}", fake->text);
    asker_clear(asker);
    rig_request(asker->rig, "POST", "/of-the-client");
}

uint64_t asker_metric(const struct asker *asker, const char *line)
{
    struct text text = text_growing(0);
    metrics_export(asker->rig->metrics, &text);
    text_add_char(&text, '\0');
    const char *found = strstr(text.data, line);
    uint64_t number = found ? strtoull(found + strlen(line), NULL, 10) : 0;
    text_release(&text);
    return number;
}
