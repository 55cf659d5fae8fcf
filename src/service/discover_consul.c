/* Consul's catalog with its health (https://developer.hashicorp.com/consul/api-docs/health), by
 * blocking queries (…/api-docs/features/blocking): a question names the index of the last answer
 * and is answered when there is a newer one, or after a while. */
#include "service/registry_answers.h"

#include "http/uri.h"
#include "run/loop.h"

#define WAIT        (5 * MINUTE) /* the server adds up to a sixteenth */
#define WAIT_TEXT   "5m"
#define ANSWER_TIME (30 * SECOND)
#define PAUSE       (100 * MILLISECOND) /* between two questions: a busy catalog wakes all who wait */

struct consul_options {
    struct http_source_options http;
    struct option_list tags; /* of struct slice */
    struct slice datacenter, namespace;
    bool takes_warnings;
};

static const struct option tag_option = {.kind = OPTION_TEXT};

static const struct option rows[] = {
    HTTP_SOURCE_ROWS("http://127.0.0.1:8500", "Who we are (X-Consul-Token)."),
    {"tag", OPTION_LIST, offsetof(struct consul_options, tags), .item = &tag_option,
        .item_size = sizeof(struct slice),
        .help = "Only instances that have this tag, or all of these."},
    {"datacenter", OPTION_TEXT, offsetof(struct consul_options, datacenter),
        .help = "Of which datacenter; by default the server's own."},
    {"namespace", OPTION_TEXT, offsetof(struct consul_options, namespace),
        .help = "Of which namespace."},
    {"warnings", OPTION_FLAG, offsetof(struct consul_options, takes_warnings), .fallback = "true",
        .help = "Whether instances whose checks warn get requests, by their weight for that."},
    {NULL}};

static const struct option_table table = {.name = "consul",
    .help = "A service in Consul: `consul://user`. Instances whose checks are critical get no "
            "requests; their weights count; tags of the form key=value and the instance's metadata "
            "become labels.",
    .options = rows,
    .size = sizeof(struct consul_options),
    .example = "{server: \"https://consul.internal:8501\", token: \"${CONSUL_TOKEN}\", tag: v1}"};

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    struct consul_options *options = value;
    if (slice_find(finder_rest(finder), '/') < finder_rest(finder).size)
        return diagnostics_error(reader->diagnostics, place, SLICE("consul://user"),
            "the name of a service has no slash in it; `server` says where Consul is");
    const struct slice *tags = options->tags.items;
    for (size_t i = 0; i < options->tags.count; i++)
        finder_name_add(finder, reader->arena, tags[i]);
    return http_source_prepare(finder, reader, place, &options->http);
}

/* --- one instance */

static struct slice add_check(const struct json_value *check, const char *status)
{
    return slice_equal(json_text_of(check, "Status"), slice_of_text(status))
               ? json_text_of(check, "Name")
               : SLICE_NONE;
}

/* The name of the first check that is so; null data: none. */
static struct slice find_check(const struct json_value *entry, const char *status)
{
    json_each (check, json_array_of(entry, "Checks")) {
        struct slice name = add_check(check, status);
        if (name.data)
            return name;
    }
    return SLICE_NONE;
}

static void judge(const struct consul_options *options, const struct json_value *entry,
    struct arena *arena, struct finding *finding)
{
    struct slice critical = find_check(entry, "critical"), warning = find_check(entry, "warning");
    const struct json_value *weights =
        json_get(json_get(entry, SLICE("Service")), SLICE("Weights"));
    int64_t weight = 1;
    (void)json_get_i64(weights, warning.data ? SLICE("Warning") : SLICE("Passing"), &weight);
    finding->weight = weight < 0                  ? 0
                      : weight > FOUND_WEIGHT_MAX ? FOUND_WEIGHT_MAX
                                                  : (uint32_t)weight;
    if (critical.data)
        finding->trouble =
            arena_format(arena, "critical in Consul: %.*s", SLICE_ARG(slice_head(critical, 60)));
    else if (warning.data && !options->takes_warnings)
        finding->trouble =
            arena_format(arena, "a warning in Consul: %.*s", SLICE_ARG(slice_head(warning, 60)));
}

static enum status add_labels(
    const struct json_value *service, struct arena *arena, struct finding *finding)
{
    enum status e = OK;
    json_each (tag, json_array_of(service, "Tags")) {
        size_t equals = slice_find(tag->text, '=');
        if (!e && tag->type == JSON_STRING && equals < tag->text.size)
            e = http_source_label(arena, finding, slice_head(tag->text, equals),
                slice_of(tag->text.data + equals + 1, tag->text.size - equals - 1));
    }
    return e ? e : http_source_labels(arena, json_get(service, SLICE("Meta")), finding);
}

/* "region/zone", as Consul's locality says it. */
static struct slice zone_of(const struct json_value *service, struct arena *arena)
{
    const struct json_value *locality = json_get(service, SLICE("Locality"));
    struct slice region = json_text_of(locality, "Region"), zone = json_text_of(locality, "Zone");
    if (!region.size && !zone.size)
        return json_text_of(json_get(service, SLICE("Meta")), "zone");
    return region.size ? arena_format(arena, "%.*s/%.*s", SLICE_ARG(region), SLICE_ARG(zone))
                       : zone;
}

static enum status add_entry(
    struct http_source *source, struct findings *findings, const struct json_value *entry)
{
    const struct json_value *service = json_get(entry, SLICE("Service"));
    struct finding finding = {.weight = 1, .zone = zone_of(service, findings->arena)};
    struct slice address = json_text_of(service, "Address");
    int64_t port = 0;
    if (!json_get_i64(service, SLICE("Port"), &port))
        return http_source_odd(source, "an instance has no port");
    if (!address.size)
        address = json_text_of(json_get(entry, SLICE("Node")), "Address");
    judge((const struct consul_options *)source->options, entry, findings->arena, &finding);
    enum status e = add_labels(service, findings->arena, &finding);
    return e ? e : http_source_add(source, findings, finding, address, port);
}

/* --- asking */

static void add_parameter(
    struct text *text, struct arena *arena, const char *name, struct slice value)
{
    if (value.size)
        text_format(text, "&%s=%.*s", name, SLICE_ARG(uri_encode(arena, value)));
}

static struct slice target_of(const struct http_source *source, struct arena *arena, uint64_t index)
{
    const struct consul_options *options = (const struct consul_options *)source->options;
    const struct slice *tags = options->tags.items;
    struct text text = text_growing(64 << 10);
    text_format(&text, "/v1/health/service/%.*s?stale",
        SLICE_ARG(uri_encode(arena, finder_rest(source->finder))));
    if (index)
        text_format(&text, "&index=%llu&wait=" WAIT_TEXT, (unsigned long long)index);
    add_parameter(&text, arena, "dc", options->datacenter);
    add_parameter(&text, arena, "ns", options->namespace);
    for (size_t i = 0; i < options->tags.count; i++)
        add_parameter(&text, arena, "tag", tags[i]);
    struct slice target = text.failed ? SLICE_NONE : arena_copy(arena, text_slice(&text));
    text_release(&text);
    return target;
}

/* The rules of blocking queries: an index that goes back begins anew, one of 0 is none. */
static uint64_t next_index(const struct http_source *source, uint64_t before)
{
    uint64_t index = 0;
    struct slice said = fields_value_named(&source->fetch.response.fields, SLICE("X-Consul-Index"));
    if (!slice_to_u64(said, &index) || index < before)
        return 0;
    return index;
}

enum status consul_read(
    struct http_source *source, const struct json_value *root, struct findings *findings)
{
    enum status e = OK;
    if (root->type != JSON_ARRAY)
        return http_source_odd(source, "its answer is no list of instances");
    json_each (entry, root)
        if (!e)
            e = add_entry(source, findings, entry);
    return e;
}

static enum status ask_once(
    struct http_source *source, struct arena *arena, void *state, int64_t *ret_pause)
{
    uint64_t *index = state;
    struct slice token;
    struct json_value *root;
    instant deadline = loop_now() + (*index ? WAIT + WAIT / 16 : 0) + ANSWER_TIME;
    enum status e = http_source_token(source, arena, &token);
    if (e)
        return e;
    const struct fetch_field field = {"X-Consul-Token", token};
    const struct fetch_question question = {.method = "GET",
        .target = target_of(source, arena, *index),
        .fields = &field,
        .field_count = 1};
    if (!question.target.data)
        return NO_MEMORY;
    e = http_source_ask(source, &question, arena, deadline);
    if (e)
        return e;
    uint64_t next = next_index(source, *index);
    e = http_source_read(source, arena, deadline, &root);
    if (e)
        return e;
    if (next && next == *index)
        finder_heard(source->finder);
    else
        e = http_source_report(source, arena, root, consul_read);
    *index = next;
    *ret_pause = next ? PAUSE : SECOND;
    return e;
}

static enum status follow(struct finder *finder, void *value)
{
    uint64_t index = 0;
    return http_source_poll(finder, value, ask_once, &index);
}

const struct discovery consul_discovery = {.scheme = "consul",
    .form = "consul://SERVICE",
    .help = "Services in Consul.",
    .table = &table,
    .prepare = prepare,
    .follow = follow,
    .release = http_source_release};
