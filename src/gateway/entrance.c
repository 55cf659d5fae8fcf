#include "gateway/entrance.h"

#include <stdlib.h>

#include "base/text.h"
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

/* RFC 6797 §6.1 */
static void set_hsts(struct entrance *entrance, const struct hsts_options *hsts)
{
    struct text text = text_fixed(entrance->hsts, sizeof entrance->hsts);
    entrance->hsts_size = 0;
    if (!hsts->is_set)
        return;
    text_format(&text, "max-age=%lld", (long long)(hsts->max_age / SECOND));
    if (hsts->has_subdomains)
        text_add_literal(&text, "; includeSubDomains");
    if (hsts->is_preloaded)
        text_add_literal(&text, "; preload");
    entrance->hsts_size = (uint8_t)text.size;
}

void entrances_update(struct list *entrances, const struct listen_options *options)
{
    list_each (node, entrances) {
        struct entrance *entrance = &list_entry(node, struct kept, node)->entrance;
        for (size_t i = 0; i < options->count; i++) {
            const struct listen_address *at = &options->all[i];
            if (entrance->is_tls != at->is_tls || entrance->kind != at->kind ||
                !slice_equal(entrance->name, at->text))
                continue;
            entrance->proxy_protocol = at->proxy_protocol;
            entrance->http2 = at->http2;
            entrance->is_proxy = at->proxy.is_set;
            entrance->redirects = at->redirects;
            entrance->redirect_port = (uint16_t)at->redirect_port;
            set_hsts(entrance, &at->hsts);
        }
    }
}

void entrances_release(struct list *entrances)
{
    struct list *node;
    while ((node = list_pop_front(entrances)))
        free(list_entry(node, struct kept, node));
}
