/* Addresses of endpoints, and phrases of health checks: what is taken must make sense. */
#include "base/must.h"
#include "service/service_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_place(struct slice text)
{
    struct endpoint_place place;
    const char *problem = NULL;
    if (endpoint_place_parse(text, &place, &problem)) {
        must(problem != NULL);
        return;
    }
    must(place.text.size > 0 && place.text.size <= text.size);
    if (place.name.size)
        must(place.port > 0);
    else
        must(place.address.any.sa_family == AF_UNIX || address_port(&place.address) > 0);
}

static void check_phrase(struct slice text)
{
    struct health_options health = {0};
    const char *problem = NULL;
    struct slice where = SLICE_NONE;
    if (health_phrase_parse(text, &health, &problem, &where)) {
        must(problem != NULL && health.path.size == 0);
        must(where.size == 0 ||
             (where.data >= text.data && where.data + where.size <= text.data + text.size));
        return;
    }
    must(health.path.size > 0 && health.path.data[0] == '/');
    must(health.every >= 0 && health.timeout >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    check_place(input);
    check_phrase(input);
    return 0;
}
