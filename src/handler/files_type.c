#include "handler/files_type.h"

#include <stdlib.h>

struct type {
    struct slice extension, media_type;
};

static const struct type types[] = {
#define TYPE(extension, media_type) {SLICE_INIT(extension), SLICE_INIT(media_type)},
#include "handler/files_type.def"
#undef TYPE
};

#define TYPES         (sizeof types / sizeof types[0])
#define EXTENSION_MAX 16

static int compare(const void *key, const void *type)
{
    return slice_compare(*(const struct slice *)key, ((const struct type *)type)->extension);
}

/* What stands behind the last dot of the last segment. */
static struct slice extension_of(struct slice name)
{
    for (size_t i = name.size; i > 0 && name.data[i - 1] != '/'; i--)
        if (name.data[i - 1] == '.')
            return slice_from(name, i);
    return SLICE_NONE;
}

struct slice files_type_of(struct slice name)
{
    struct slice extension = extension_of(name);
    char lower[EXTENSION_MAX];
    if (extension.size <= sizeof lower) {
        for (size_t i = 0; i < extension.size; i++) {
            char c = extension.data[i];
            lower[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        }
        struct slice key = slice_of(lower, extension.size);
        const struct type *type = bsearch(&key, types, TYPES, sizeof types[0], compare);
        if (type)
            return type->media_type;
    }
    return SLICE("application/octet-stream");
}
