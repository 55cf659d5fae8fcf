#include "gateway/hidden_service.h"

static const struct service *find(const struct snapshot *snapshot, struct slice address)
{
    for (size_t i = snapshot->named_services; i < snapshot->service_count; i++)
        if (slice_equal(service_name(snapshot->services[i]), address))
            return snapshot->services[i];
    return NULL;
}

/* As the file would say it in short: `name: https://id.example`. */
static enum status make(struct service_plane *plane, struct reader *reader, struct slice address,
    struct place place, const struct service **ret_service)
{
    struct node *node = arena_new(reader->arena, struct node);
    void *options = arena_zalloc(reader->arena, service_table.size);
    size_t errors = reader->diagnostics->errors;
    if (!node || !options)
        return NO_MEMORY;
    *node = (struct node){
        .kind = NODE_SCALAR, .is_quoted = true, .place = place, .text = address, .raw = address};
    enum status e = option_read(reader, &service_table, node, options);
    if (!e && reader->diagnostics->errors > errors)
        e = INVALID;
    return e ? e : service_prepare(plane, reader, address, options, NULL, ret_service);
}

/* The list is as long as the file's services need it; for more it is copied. */
static enum status add(struct snapshot *snapshot, const struct service *service)
{
    size_t count = snapshot->service_count;
    const struct service **services = arena_array(&snapshot->arena, count + 2, sizeof *services);
    if (!services)
        return NO_MEMORY;
    memcpy(services, snapshot->services, count * sizeof *services);
    services[count] = service;
    snapshot->services = services;
    snapshot->service_count = count + 1;
    return OK;
}

enum status hidden_service_obtain(struct snapshot *snapshot, struct service_plane *plane,
    struct reader *reader, struct slice address, struct place place,
    const struct service **ret_service)
{
    const struct service *service = find(snapshot, address);
    enum status e = OK;
    if (!service)
        e = make(plane, reader, address, place, &service);
    if (!e && !find(snapshot, address))
        e = add(snapshot, service);
    if (!e)
        *ret_service = service;
    return e;
}
