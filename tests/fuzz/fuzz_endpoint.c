/* Addresses of endpoints, and phrases of health checks and agents: what is taken must make sense.
 */
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

static void check_where(struct slice text, struct slice where, const char *problem)
{
    must(problem != NULL);
    must(where.size == 0 ||
         (where.data >= text.data && where.data + where.size <= text.data + text.size));
}

static void check_phrase(struct slice text)
{
    struct health_options health = {0};
    struct health_phrase more;
    const char *problem = NULL;
    struct slice where = SLICE_NONE;
    if (health_phrase_parse(text, &health, &more, &problem, &where)) {
        check_where(text, where, problem);
        must(health.path.size == 0);
        return;
    }
    must(health.path.size > 0);
    if (health_is_http(health.method) || health.method == HEALTH_COMMAND)
        must(health.path.data[0] == '/');
    must(health.every >= 0 && health.timeout >= 0);
}

static void check_agent(struct slice text)
{
    struct agent_options agent = {0};
    const char *problem = NULL;
    struct slice where = SLICE_NONE;
    if (agent_phrase_parse(text, &agent, &problem, &where))
        check_where(text, where, problem);
    else
        must(agent.port >= 0 && agent.port <= 65535 && agent.every >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    check_place(input);
    check_phrase(input);
    check_agent(input);
    return 0;
}
