/* Applications in Eureka (https://github.com/Netflix/eureka/wiki/Eureka-REST-operations), which has
 * no way to wait for changes: it is asked again and again. */
#include "service/registry_answers.h"

#include "http/uri.h"
#include "run/loop.h"

#define ANSWER_TIME (30 * SECOND)

struct eureka_options {
    struct http_source_options http;
    int64_t every;
    bool is_secure;
};

static const struct option rows[] = {
    HTTP_SOURCE_ROWS("http://127.0.0.1:8761/eureka", "Who we are (Authorization: Bearer)."),
    {"every", OPTION_DURATION, offsetof(struct eureka_options, every), .fallback = "15s",
        .minimum = 100 * MILLISECOND, .maximum = HOUR, .help = "How often it is asked."},
    {"secure", OPTION_FLAG, offsetof(struct eureka_options, is_secure), .fallback = "false",
        .help = "Whether the instances' secure ports are meant; `tls: {}` of the service speaks "
                "TLS there."},
    {NULL}};

static const struct option_table table = {.name = "eureka",
    .help = "An application in Eureka: `eureka://user`. Instances that are not UP get no requests; "
            "their metadata become labels, and `zone` among it the zone.",
    .options = rows,
    .size = sizeof(struct eureka_options),
    .example = "{server: \"http://eureka.internal:8761/eureka\", every: 30s}"};

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    return http_source_prepare(finder, reader, place, value);
}

static enum status add_instance(
    struct http_source *source, struct findings *findings, const struct json_value *instance)
{
    const struct eureka_options *options = (const struct eureka_options *)source->options;
    const struct json_value *metadata = json_get(instance, SLICE("metadata"));
    const struct json_value *port =
        json_get(instance, options->is_secure ? SLICE("securePort") : SLICE("port"));
    struct slice status = json_text_of(instance, "status"),
                 address = json_text_of(instance, "ipAddr");
    struct finding finding = {.weight = 1,
        .name = options->is_secure ? json_text_of(instance, "hostName") : SLICE_NONE,
        .zone = json_text_of(metadata, "zone")};
    int64_t number = 0;
    if (!json_get_i64(port, SLICE("$"), &number))
        return http_source_odd(source, "an instance has no port");
    if (!address.size)
        address = json_text_of(instance, "hostName");
    if (!slice_equal(status, SLICE("UP")))
        finding.trouble =
            arena_format(findings->arena, "%.*s in Eureka", SLICE_ARG(slice_head(status, 40)));
    enum status e = http_source_labels(findings->arena, metadata, &finding);
    return e ? e : http_source_add(source, findings, finding, address, number);
}

/* A lone instance may come without its list. */
enum status eureka_read(
    struct http_source *source, const struct json_value *root, struct findings *findings)
{
    const struct json_value *instances =
        json_get(json_get(root, SLICE("application")), SLICE("instance"));
    enum status e = OK;
    if (!instances)
        return http_source_odd(source, "its answer is no application");
    if (instances->type == JSON_OBJECT)
        return add_instance(source, findings, instances);
    if (instances->type == JSON_ARRAY)
        json_each (instance, instances)
            if (!e)
                e = add_instance(source, findings, instance);
    return e;
}

static enum status ask_once(
    struct http_source *source, struct arena *arena, void *state, int64_t *ret_pause)
{
    const struct eureka_options *options = state;
    struct slice bearer;
    struct json_value *root;
    instant deadline = loop_now() + ANSWER_TIME;
    *ret_pause = options->every;
    enum status e = http_source_bearer(source, arena, &bearer);
    if (e)
        return e;
    const struct fetch_field fields[] = {
        {"Accept", SLICE("application/json")}, {"Authorization", bearer}};
    const struct fetch_question question = {.method = "GET",
        .target = arena_format(
            arena, "/apps/%.*s", SLICE_ARG(uri_encode(arena, finder_rest(source->finder)))),
        .fields = fields,
        .field_count = 2};
    if (!question.target.data)
        return NO_MEMORY;
    e = http_source_ask(source, &question, arena, deadline);
    if (e == IO_ERROR && source->fetch.response.status == 404) { /* nobody has registered */
        const struct findings nobody = {.arena = arena};
        return finder_report(source->finder, &nobody);
    }
    if (!e)
        e = http_source_read(source, arena, deadline, &root);
    return e ? e : http_source_report(source, arena, root, eureka_read);
}

static enum status follow(struct finder *finder, void *value)
{
    return http_source_poll(finder, value, ask_once, value);
}

const struct discovery eureka_discovery = {.scheme = "eureka",
    .form = "eureka://APPLICATION",
    .help = "Applications in Eureka.",
    .table = &table,
    .prepare = prepare,
    .follow = follow,
    .release = http_source_release};
