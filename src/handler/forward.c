#include "handler/handler.h"
#include "service/service.h"

/* Hands the request to a service: `to: user`. All that can go wrong on the way is the service's
 * (service/service.h). */

struct forward {
    struct slice name;
    struct place place;
    const struct service *service; /* borrowed from the snapshot */
};

static const struct option options[] = {
    {"service", OPTION_TEXT, offsetof(struct forward, name), .is_required = true,
        .place_offset = offsetof(struct forward, place), .help = "A name under `services`."},
    {NULL},
};

static const struct option_table table = {
    .name = "to",
    .help = "Forwards the request to a service and the answer back.",
    .options = options,
    .size = sizeof(struct forward),
    .shorthand = "service",
    .example = "GET /products/**: {to: catalog}",
};

static enum status prepare_forward(struct prepare *prepare, void *config)
{
    struct forward *forward = config;
    return prepare_find_service(prepare, forward->name, forward->place, &forward->service);
}

static enum status serve_forward(const void *config, struct exchange *x)
{
    const struct forward *forward = config;
    return service_call(forward->service, x);
}

static const struct service *service_of(const void *config)
{
    const struct forward *forward = config;
    return forward->service;
}

static void explain_forward(const void *config, struct exchange *x, struct text *text)
{
    const struct forward *forward = config;
    text_format(text, "service %.*s", SLICE_ARG(forward->name));
    if (forward->service)
        service_explain(forward->service, x, text);
}

const struct handler_type forward_handler = {
    .name = "to",
    .options = &table,
    .prepare = prepare_forward,
    .serve = serve_forward,
    .service = service_of,
    .explain = explain_forward,
};
