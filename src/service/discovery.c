#include "service/discovery.h"

#define DISCOVERY(name) extern const struct discovery name##_discovery;
#include "service/discoveries.def"
#undef DISCOVERY

const struct discovery *const discoveries[] = {
#define DISCOVERY(name) &name##_discovery,
#include "service/discoveries.def"
#undef DISCOVERY
    NULL};

const struct discovery *discovery_of(struct slice text, struct slice *ret_rest)
{
    size_t end = slice_find_slice(text, SLICE("://"));
    if (end == text.size)
        return NULL;
    for (size_t i = 0; discoveries[i]; i++) {
        if (!slice_equal(slice_head(text, end), slice_of_text(discoveries[i]->scheme)))
            continue;
        *ret_rest = slice_of(text.data + end + 3, text.size - end - 3);
        return discoveries[i];
    }
    return NULL;
}
