#include "gateway/options.h"

#include "policy/policy.h"

enum status policy_config_read(struct reader *reader, const struct policy_type *type,
    const struct node *node, struct slice subject, void **ret_config)
{
    void *config = arena_zalloc(reader->arena, type->options->size);
    if (!config)
        return NO_MEMORY;
    struct reader inner = *reader;
    size_t errors = reader->diagnostics->errors;
    inner.subject = subject;
    enum status e = option_read(&inner, type->options, node, config);
    if (!e)
        *ret_config = reader->diagnostics->errors == errors ? config : NULL;
    return e;
}

/* Lists of policies are short; they grow by doubling inside the arena. */
enum status named_policies_add(
    struct reader *reader, struct option_list *list, const struct named_policy *policy)
{
    struct named_policy *items = list->items;
    if ((list->count & (list->count - 1)) == 0) {
        size_t capacity = list->count ? list->count * 2 : 1;
        items = arena_array(reader->arena, capacity, sizeof *items);
        if (!items)
            return NO_MEMORY;
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
    }
    items[list->count++] = *policy;
    return OK;
}
