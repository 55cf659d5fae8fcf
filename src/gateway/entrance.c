#include "gateway/entrance.h"

#include <stdlib.h>

#include "gateway/listener.h"

struct kept {
    struct list node;
    struct entrance entrance;
    char text[]; /* of the name */
};

static bool is_of(const struct entrance *entrance, const struct listener *listener)
{
    return entrance->kind == listener->kind && entrance->is_tls == listener->is_tls &&
           slice_equal(entrance->name, listener_name(listener));
}

const struct entrance *entrance_keep(struct list *entrances, const struct listener *listener)
{
    struct slice name = listener_name(listener);
    list_each (node, entrances) {
        struct kept *kept = list_entry(node, struct kept, node);
        if (is_of(&kept->entrance, listener))
            return &kept->entrance;
    }
    struct kept *kept = calloc(1, sizeof *kept + name.size + 1);
    if (!kept)
        return NULL;
    memcpy(kept->text, name.data, name.size);
    kept->entrance.name = slice_of(kept->text, name.size);
    kept->entrance.is_tls = listener->is_tls;
    kept->entrance.kind = listener->kind;
    list_push_back(entrances, &kept->node);
    return &kept->entrance;
}

void entrances_release(struct list *entrances)
{
    struct list *node;
    while ((node = list_pop_front(entrances)))
        free(list_entry(node, struct kept, node));
}
