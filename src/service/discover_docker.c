/* Containers of Docker, by its Engine API (https://docs.docker.com/engine/api): the events that
 * concern those with a label, and after each that matters all of them anew. */
#include "service/http_lines.h"
#include "service/registry_answers.h"

#include "http/uri.h"
#include "run/loop.h"

#define ANSWER_TIME   (30 * SECOND)
#define SILENCE       (60 * SECOND) /* then they are listed anew, whatever was told */
#define LABEL_SERVICE "weir.service"
#define LABEL_PORT    "weir.port"

struct docker_options {
    struct http_source_options http;
    struct slice network;
};

static const struct option rows[] = {
    HTTP_SOURCE_ROWS("unix:/var/run/docker.sock", "Who we are (Authorization: Bearer)."),
    {"network", OPTION_TEXT, offsetof(struct docker_options, network),
        .help = "By which of Docker's networks the containers are reached; by default the first."},
    {NULL}};

static const struct option_table table = {.name = "docker",
    .help =
        "Containers of Docker: `docker://user` has those that run with the label "
        "`" LABEL_SERVICE "=user`. `" LABEL_PORT "` says the port (by default the only one that "
        "the container exposes); `weir.weight`, `weir.tier` and `weir.zone` say more, and all "
        "labels count as such. Containers that Docker finds unhealthy get no requests.",
    .options = rows,
    .size = sizeof(struct docker_options),
    .example = "{network: shop_default}"};

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    return http_source_prepare(finder, reader, place, value);
}

/* --- one container */

static uint64_t number_of(const struct json_value *labels, const char *key, uint64_t otherwise)
{
    uint64_t number;
    return slice_to_u64(json_text_of(labels, key), &number) ? number : otherwise;
}

/* What is said, or the only one. */
static int64_t port_of(const struct json_value *container)
{
    int64_t found = (int64_t)number_of(json_get(container, SLICE("Labels")), LABEL_PORT, 0);
    if (found)
        return found;
    json_each (port, json_array_of(container, "Ports")) {
        int64_t number = json_number_of(port, "PrivatePort");
        bool is_tcp = slice_equal(json_text_of(port, "Type"), SLICE("tcp"));
        if (is_tcp && found && found != number)
            return 0;
        found = is_tcp ? number : found;
    }
    return found;
}

/* Empty: it is on no such network. */
static struct slice address_of(const struct json_value *container, struct slice network)
{
    const struct json_value *networks =
        json_get(json_get(container, SLICE("NetworkSettings")), SLICE("Networks"));
    if (!networks || networks->type != JSON_OBJECT)
        return SLICE_NONE;
    json_each (one, networks) {
        struct slice address = json_text_of(one, "IPAddress");
        if (!address.size)
            address = json_text_of(one, "GlobalIPv6Address");
        if (address.size && (!network.size || slice_equal(one->key, network)))
            return address;
    }
    return SLICE_NONE;
}

static struct slice trouble_of(const struct json_value *container)
{
    struct slice state = json_text_of(container, "State"),
                 status = json_text_of(container, "Status");
    if (!slice_equal(state, SLICE("running")))
        return SLICE("not running in Docker");
    if (slice_find_slice(status, SLICE("(unhealthy)")) < status.size)
        return SLICE("unhealthy in Docker");
    if (slice_find_slice(status, SLICE("(health: starting)")) < status.size)
        return SLICE("starting in Docker");
    return SLICE_NONE;
}

/* One that cannot be reached is left out: it may run on another network on purpose. */
static enum status add_container(
    struct http_source *source, struct findings *findings, const struct json_value *container)
{
    const struct docker_options *options = (const struct docker_options *)source->options;
    const struct json_value *labels = json_get(container, SLICE("Labels"));
    struct finding finding = {.weight = (uint32_t)number_of(labels, "weir.weight", 1),
        .tier = (uint32_t)number_of(labels, "weir.tier", 0),
        .zone = json_text_of(labels, "weir.zone"),
        .trouble = trouble_of(container)};
    if (finding.tier > 100)
        finding.tier = 100;
    enum status e = http_source_labels(findings->arena, labels, &finding);
    return e ? e
             : http_source_add(source, findings, finding, address_of(container, options->network),
                   port_of(container));
}

/* --- questions */

static enum status ask(
    struct http_source *source, struct arena *arena, const char *path, const char *filter)
{
    struct text text = text_growing(4096);
    struct json_writer w;
    struct slice bearer;
    json_writer_init(&w, &text, 0);
    json_write_object(&w);
    json_put_array(&w, "label");
    json_write_string(
        &w, arena_format(arena, LABEL_SERVICE "=%.*s", SLICE_ARG(finder_rest(source->finder))));
    json_write_array_end(&w);
    if (*filter) {
        json_put_raw(&w, "type", slice_of_text(filter));
    }
    json_write_object_end(&w);
    struct slice filters = uri_encode(arena, text_slice(&text));
    bool is_written = !text.failed && filters.data;
    text_release(&text);
    enum status e = is_written ? http_source_bearer(source, arena, &bearer) : NO_MEMORY;
    const struct fetch_field field = {"Authorization", e ? SLICE_NONE : bearer};
    const struct fetch_question question = {.method = "GET",
        .target = arena_format(arena, "%s?filters=%.*s", path, SLICE_ARG(filters)),
        .fields = &field,
        .field_count = 1};
    return e ? e : http_source_ask(source, &question, arena, loop_now() + ANSWER_TIME);
}

enum status docker_read(
    struct http_source *source, const struct json_value *root, struct findings *findings)
{
    enum status e = OK;
    if (root->type != JSON_ARRAY)
        return http_source_odd(source, "its answer is no list of containers");
    json_each (container, root)
        if (!e)
            e = add_container(source, findings, container);
    return e;
}

static enum status list(struct http_source *source)
{
    struct arena arena;
    struct json_value *root;
    arena_init(&arena, (size_t)16 << 10, 0);
    enum status e = ask(source, &arena, "/containers/json", "");
    if (!e)
        e = http_source_read(source, &arena, loop_now() + ANSWER_TIME, &root);
    if (!e)
        e = http_source_report(source, &arena, root, docker_read);
    fetch_done(&source->fetch);
    arena_release(&arena);
    return e;
}

/* Commands that are run in a container, and the like, change nothing. */
static bool matters(const struct json_value *event)
{
    struct slice action = json_text_of(event, "Action");
    return !slice_has_prefix(action, SLICE("exec_")) && !slice_equal(action, SLICE("top")) &&
           !slice_equal(action, SLICE("attach"));
}

static enum status follow_events(struct http_source *events, struct http_source *lists)
{
    struct http_lines lines;
    enum status e = OK;
    bool is_news = true;
    http_lines_init(&lines, events);
    while (!e) {
        struct arena arena;
        struct json_value *event = NULL;
        if (is_news)
            e = list(lists);
        arena_init(&arena, 4096, 0);
        if (!e)
            e = http_lines_next(&lines, &arena, loop_now() + SILENCE, &event);
        is_news = e == TIMEOUT || (!e && matters(event));
        e = e == TIMEOUT ? OK : e;
        arena_release(&arena);
    }
    http_lines_release(&lines);
    return e;
}

/* The events are asked for first, so that nothing is missed between the list and them. */
static enum status follow(struct finder *finder, void *value)
{
    struct http_source events, lists;
    struct arena arena;
    arena_init(&arena, 0, 0);
    http_source_begin(&events, finder, value);
    http_source_begin(&lists, finder, value);
    enum status e = ask(&events, &arena, "/events", "[\"container\"]");
    if (!e)
        e = follow_events(&events, &lists);
    if (e == END) {
        (void)http_source_odd(&events, "it has ended the events");
        e = CLOSED;
    }
    http_source_end(&lists);
    http_source_end(&events);
    arena_release(&arena);
    return e;
}

const struct discovery docker_discovery = {.scheme = "docker",
    .form = "docker://SERVICE",
    .help = "Containers of Docker.",
    .table = &table,
    .prepare = prepare,
    .follow = follow,
    .release = http_source_release};
