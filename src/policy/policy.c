#include "policy/policy.h"

#include "service/watched_file.h"

#define POLICY(name) extern const struct policy_type name##_policy;
#include "policy/policies.def"
#undef POLICY

const struct policy_type *const policy_types[] = {
#define POLICY(name) &name##_policy,
#include "policy/policies.def"
#undef POLICY
    NULL};

const struct policy_type *policy_type_of(struct slice name)
{
    for (size_t i = 0; policy_types[i]; i++)
        if (slice_equal(name, slice_of_text(policy_types[i]->name)))
            return policy_types[i];
    return NULL;
}

const struct policy_type *policy_type_of_plural(struct slice plural)
{
    for (size_t i = 0; policy_types[i]; i++)
        if (slice_equal(plural, slice_of_text(policy_types[i]->plural)))
            return policy_types[i];
    return NULL;
}

enum status prepare_find_service(struct prepare *prepare, struct slice name, struct place place,
    const struct service **ret_service)
{
    const struct service *service = prepare->find_service(prepare, name);
    if (service) {
        *ret_service = service;
        return OK;
    }
    struct slice hint = SLICE("add it under \"services\"");
    struct slice similar = prepare->similar_service(prepare, name);
    if (similar.size)
        hint = arena_format(prepare->reader->arena, "did you mean \"%.*s\"?", SLICE_ARG(similar));
    return diagnostics_error(prepare->reader->diagnostics, place, hint,
        "there is no service \"%.*s\"", SLICE_ARG(slice_head(name, 100)));
}

enum status prepare_watched_file(struct prepare *prepare, const struct watched_kind *kind,
    struct place place, struct slice path, struct watched_file **ret_file)
{
    const struct watched_context context = {
        prepare->registry, prepare->metrics, prepare->workers, prepare->plane};
    char room[WATCHED_TROUBLE_MAX];
    struct text trouble = text_fixed(room, sizeof room);
    struct slice full = source_path(prepare->reader->arena, place.source, path);
    if (!full.data)
        return NO_MEMORY;
    enum status e = watched_file_obtain(&context, kind, full, &trouble, ret_file);
    if (e == INVALID)
        return diagnostics_error(prepare->reader->diagnostics, place, SLICE_NONE,
            "the file \"%.*s\" cannot be used: %.*s", SLICE_ARG(slice_head(path, 200)),
            SLICE_ARG(text_slice(&trouble)));
    return e ? e : arena_own(prepare->reader->arena, registry_release, *ret_file);
}

static enum status serve_link(const void *state, struct exchange *x)
{
    const struct policy_link *link = state;
    return link->type->serve(link->config, x, &link->next);
}

struct handler policy_handler(const struct policy_link *link)
{
    return (struct handler){serve_link, link};
}

const struct policy_link *policy_link_of(const struct handler *handler)
{
    return handler->serve == serve_link ? handler->state : NULL;
}
