#include "gateway/acme_certificates.h"

#include "acme/certificate.h"
#include "acme/keeper.h"
#include "base/table.h"
#include "route/hosts.h"

#define NAMES_MAX 100000
#define PEM_MAX   ((size_t)64 << 10)

/* --- which names */

struct gathering {
    struct arena *arena;
    struct table known;
    struct slice *names;
    size_t count, room;
};

static enum status add(struct gathering *gathering, struct slice name)
{
    if (table_get(&gathering->known, name))
        return OK;
    if (gathering->count == gathering->room) {
        size_t room = 2 * gathering->room + 8;
        struct slice *names = arena_array(gathering->arena, room, sizeof *names);
        if (!names)
            return NO_MEMORY;
        if (gathering->count)
            memcpy(names, gathering->names, gathering->count * sizeof *names);
        gathering->names = names;
        gathering->room = room;
    }
    gathering->names[gathering->count++] = name;
    return table_put(&gathering->known, name, gathering);
}

static enum status add_hosts(struct gathering *gathering, const struct option_list *hosts)
{
    const struct slice *texts = hosts->items;
    enum status e = OK;
    for (size_t i = 0; !e && i < hosts->count; i++) {
        enum host_kind kind;
        struct slice name;
        if (!host_parse(gathering->arena, texts[i], &kind, &name) && kind == HOST_EXACT)
            e = add(gathering, name);
    }
    return e;
}

enum status acme_gather_names(struct arena *arena, const struct gateway_options *options,
    struct slice **ret_names, size_t *ret_count)
{
    struct gathering gathering = {.arena = arena};
    const struct route_options *routes = options->routes.items;
    table_init(&gathering.known, NAMES_MAX);
    enum status e = add_hosts(&gathering, &options->hosts);
    for (size_t i = 0; !e && i < options->routes.count; i++)
        if (routes[i].has_hosts)
            e = add_hosts(&gathering, &routes[i].hosts);
    table_release(&gathering.known);
    *ret_names = gathering.names;
    *ret_count = gathering.count;
    return e;
}

enum status acme_check(struct reader *reader, const struct acme_options *options)
{
    struct tls_authorities *authorities = NULL;
    const char *problem = "the file cannot be read";
    enum status e = options->ca.size ? acme_read_authorities(options, &authorities, &problem) : OK;
    tls_authorities_unref(authorities);
    if (e != INVALID)
        return e;
    return diagnostics_error(reader->diagnostics, options->ca_place, SLICE_NONE,
        "the authorities %.*s are of no use: %s", SLICE_ARG(options->ca), problem);
}

/* --- what answers */

static enum status sign_self(struct slice name, struct text *pem)
{
    struct acme_key *key = NULL;
    enum status e = acme_key_new(&key);
    if (!e)
        e = acme_key_write(key, pem);
    if (!e)
        e = acme_sign_self(key, name, pem);
    acme_key_free(key);
    return e;
}

/* The context is the name. */
static enum status make_self_signed(void *object, void *context)
{
    struct certificate *certificate = object;
    const char *problem;
    struct text pem = text_growing(PEM_MAX);
    enum status e = sign_self(*(const struct slice *)context, &pem);
    if (!e)
        e = tls_identity_new(text_slice(&pem), text_slice(&pem), &certificate->identity, &problem);
    text_release(&pem);
    return e;
}

static void release(void *object)
{
    tls_identity_unref(((struct certificate *)object)->identity);
}

/* One for a name, as long as it is used: not another at each reload. */
static const struct registry_kind self_signed = {
    "self-signed certificate", sizeof(struct certificate), make_self_signed, release};

static enum status hold(
    struct reader *reader, struct certificate *certificate, struct served_certificate *served)
{
    if (arena_own(reader->arena, registry_release, certificate))
        return NO_MEMORY;
    served->certificate = certificate;
    return OK;
}

static enum status load_self_signed(struct reader *reader, struct registry *registry,
    struct slice name, struct served_certificate *served)
{
    void *object;
    enum status e = registry_obtain(registry, &self_signed, name, &name, &object);
    return e ? e : hold(reader, object, served);
}

/* What cannot be read, or is nonsense, is got anew. */
static enum status load_stored(struct reader *reader, struct registry *registry,
    const struct acme_options *options, struct slice name, struct served_certificate *served)
{
    struct acme_store *store;
    struct slice pem;
    struct certificate *certificate;
    const char *problem;
    enum status e = acme_storage_open(options, &store);
    if (e)
        return e;
    e = acme_storage_read(store, name, reader->arena, &pem);
    if (!e)
        e = certificate_obtain(registry, pem, pem, &certificate, &problem);
    acme_store_free(store);
    return e ? e : hold(reader, certificate, served);
}

enum status acme_certificate_load(struct reader *reader, struct registry *registry,
    const struct tls_options *options, struct slice name, struct served_certificate *ret_served)
{
    struct served_certificate served = {.options = &options->own,
        .cert_path = arena_format(reader->arena, "acme:%.*s", SLICE_ARG(name))};
    struct slice *names = arena_array(reader->arena, 1, sizeof *names);
    if (!names || !served.cert_path.data)
        return NO_MEMORY;
    names[0] = name;
    served.names = names;
    served.name_count = 1;
    enum status e = load_stored(reader, registry, &options->acme, name, &served);
    if (e && e != NO_MEMORY)
        e = load_self_signed(reader, registry, name, &served);
    if (!e)
        e = certificate_load_authorities(reader, &served);
    served.stamp = certificate_stamp(&served);
    if (!e)
        *ret_served = served;
    return e;
}
