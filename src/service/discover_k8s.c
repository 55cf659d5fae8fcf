/* EndpointSlices of Kubernetes (discovery.k8s.io/v1): listed, then watched from the list's
 * resourceVersion on (https://kubernetes.io/docs/reference/using-api/api-concepts), with bookmarks
 * so that a watch can go on where it ended, until the server says 410 Gone. */
#include "service/found_map.h"
#include "service/http_lines.h"
#include "service/registry_answers.h"

#include "http/uri.h"
#include "run/loop.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_TIME  (30 * SECOND)
#define WATCH_TIME   300 /* seconds that a watch may take; the server ends it then */
#define SILENCE      (WATCH_TIME * SECOND + ANSWER_TIME)
#define LIST_LIMIT   500 /* slices in one answer */
#define LABEL        "kubernetes.io/service-name"
#define SECRETS      "/var/run/secrets/kubernetes.io/serviceaccount"
#define VERSION_SIZE 64

struct k8s_options {
    struct http_source_options http;
    struct slice port; /* its name, or number; empty: the only or first one */
    struct slice namespace, service;
};

static const struct option rows[] = {HTTP_SOURCE_ROWS("", "Who we are (Authorization: Bearer)."),
    {"port", OPTION_TEXT, offsetof(struct k8s_options, port),
        .help = "Which of the service's ports, by name or number; by default the first."},
    {NULL}};

static const struct option_table table = {.name = "k8s",
    .help = "A service of Kubernetes: `k8s://NAMESPACE/SERVICE`, by its EndpointSlices. Inside a "
            "cluster nothing else is needed: server, authorities and token are the pod's own, and "
            "the token is read anew when it is renewed. Endpoints that are not ready get no "
            "requests; their zones are known. The role needs list and watch on endpointslices.",
    .options = rows,
    .size = sizeof(struct k8s_options),
    .example = "{port: http}"};

/* What a pod is given. */
static enum status take_pods_own(struct reader *reader, struct place place, struct k8s_options *k8s)
{
    struct http_source_options *http = &k8s->http;
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (http->server.size)
        return OK;
    if (!host || !port)
        return diagnostics_error(reader->diagnostics, place,
            SLICE("server: https://10.0.0.1:6443, token-file: …, ca: …"),
            "this is no pod of Kubernetes: `server` is needed");
    bool is_v6 = strchr(host, ':') != NULL;
    http->server =
        arena_format(reader->arena, is_v6 ? "https://[%s]:%s" : "https://%s:%s", host, port);
    if (!http->ca.size)
        http->ca = SLICE(SECRETS "/ca.crt");
    if (!http->token.size && !http->token_file.size)
        http->token_file = SLICE(SECRETS "/token");
    return http->server.data ? OK : NO_MEMORY;
}

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    struct k8s_options *options = value;
    struct slice rest = finder_rest(finder);
    size_t slash = slice_find(rest, '/');
    options->namespace = slice_head(rest, slash);
    options->service = slice_from(rest, slash + 1);
    if (!options->namespace.size || !options->service.size ||
        slice_find(options->service, '/') < options->service.size)
        return diagnostics_error(reader->diagnostics, place, SLICE("k8s://shop/user"),
            "a service of Kubernetes is written NAMESPACE/SERVICE");
    if (options->port.size)
        finder_name_add(finder, reader->arena, options->port);
    enum status e = take_pods_own(reader, place, options);
    return e ? e : http_source_prepare(finder, reader, place, &options->http);
}

struct following {
    struct http_source source;
    struct found_map map; /* by the slices' names */
    char version[VERSION_SIZE];
};

static const struct k8s_options *options_of(const struct following *f)
{
    return (const struct k8s_options *)f->source.options;
}

/* --- one slice */

/* The number of the port that is wanted; 0: the slice has none of that name. */
static int64_t port_of(const struct http_source *source, const struct json_value *slice)
{
    struct slice wanted = ((const struct k8s_options *)source->options)->port;
    uint64_t wanted_number = 0;
    (void)slice_to_u64(wanted, &wanted_number);
    json_each (port, json_array_of(slice, "ports")) {
        int64_t number = json_number_of(port, "port");
        if (!wanted.size || slice_equal(json_text_of(port, "name"), wanted) ||
            (wanted_number && number == (int64_t)wanted_number))
            return number;
    }
    return 0;
}

/* "ready" is true unless it is said to be false. */
static bool is_ready(const struct json_value *endpoint)
{
    bool ready = true;
    (void)json_get_bool(json_get(endpoint, SLICE("conditions")), SLICE("ready"), &ready);
    return ready;
}

static enum status add_endpoint(struct http_source *source, struct findings *findings,
    const struct json_value *endpoint, int64_t port)
{
    bool is_terminating = false;
    struct finding finding = {
        .weight = 1, .zone = arena_copy(findings->arena, json_text_of(endpoint, "zone"))};
    (void)json_get_bool(
        json_get(endpoint, SLICE("conditions")), SLICE("terminating"), &is_terminating);
    if (!is_ready(endpoint))
        finding.trouble =
            is_terminating ? SLICE("terminating in Kubernetes") : SLICE("not ready in Kubernetes");
    struct slice node = arena_copy(findings->arena, json_text_of(endpoint, "nodeName"));
    enum status e =
        node.size ? http_source_label(findings->arena, &finding, SLICE("node"), node) : OK;
    json_each (address, json_array_of(endpoint, "addresses"))
        if (!e && address->type == JSON_STRING)
            e = http_source_add(source, findings, finding, address->text, port);
    return e;
}

enum status k8s_read(
    struct http_source *source, const struct json_value *slice, struct findings *findings)
{
    int64_t port = port_of(source, slice);
    enum status e = OK;
    json_each (endpoint, json_array_of(slice, "endpoints"))
        if (!e)
            e = add_endpoint(source, findings, endpoint, port);
    return e;
}

static struct slice name_of(const struct json_value *slice)
{
    return json_text_of(json_get(slice, SLICE("metadata")), "name");
}

static enum status put_slice(struct following *f, const struct json_value *slice)
{
    struct found_part *part;
    if (!name_of(slice).size)
        return http_source_odd(&f->source, "a slice has no name");
    enum status e = found_map_put(&f->map, name_of(slice), &part);
    return e ? e : k8s_read(&f->source, slice, &part->findings);
}

/* Opaque, but for what fits into a URL. */
static bool take_version(struct following *f, const struct json_value *object)
{
    struct slice version = json_text_of(json_get(object, SLICE("metadata")), "resourceVersion");
    if (!version.size || version.size >= sizeof f->version)
        return false;
    memcpy(f->version, version.data, version.size);
    f->version[version.size] = '\0';
    return true;
}

/* --- questions */

static enum status ask(
    struct following *f, struct arena *arena, const char *more, struct slice last)
{
    const struct k8s_options *options = options_of(f);
    struct slice bearer;
    enum status e = http_source_bearer(&f->source, arena, &bearer);
    const struct fetch_field fields[] = {
        {"Authorization", bearer}, {"Accept", SLICE("application/json")}};
    const struct fetch_question question = {.method = "GET",
        .target = arena_format(arena,
            "/apis/discovery.k8s.io/v1/namespaces/%.*s/endpointslices?labelSelector=%.*s%s%.*s",
            SLICE_ARG(uri_encode(arena, options->namespace)),
            SLICE_ARG(
                uri_encode(arena, arena_format(arena, LABEL "=%.*s", SLICE_ARG(options->service)))),
            more, SLICE_ARG(uri_encode(arena, last))),
        .fields = fields,
        .field_count = 2};
    if (!e && !question.target.data)
        e = NO_MEMORY;
    return e ? e : http_source_ask(&f->source, &question, arena, loop_now() + ANSWER_TIME);
}

static enum status take_page(
    struct following *f, const struct json_value *root, struct arena *kept, struct slice *next)
{
    const struct json_value *items = json_array_of(root, "items");
    enum status e = OK;
    if (!items || !take_version(f, root))
        return http_source_odd(&f->source, "its answer is no list of EndpointSlices");
    json_each (item, items)
        if (!e)
            e = put_slice(f, item);
    *next = arena_copy(kept, json_text_of(json_get(root, SLICE("metadata")), "continue"));
    return e ? e : next->data ? OK : NO_MEMORY;
}

static enum status list_page(struct following *f, struct arena *kept, struct slice *next)
{
    struct arena arena;
    struct json_value *root;
    char more[64];
    arena_init(&arena, (size_t)16 << 10, 0);
    snprintf(more, sizeof more, "&limit=%d%s", LIST_LIMIT, next->size ? "&continue=" : "");
    enum status e = ask(f, &arena, more, *next);
    if (!e)
        e = http_source_read(&f->source, &arena, loop_now() + ANSWER_TIME, &root);
    if (!e)
        e = take_page(f, root, kept, next);
    fetch_done(&f->source.fetch);
    arena_release(&arena);
    return e;
}

static enum status list(struct following *f)
{
    struct arena kept;
    struct slice next = SLICE_NONE;
    enum status e;
    arena_init(&kept, 0, 0);
    found_map_clear(&f->map);
    do
        e = list_page(f, &kept, &next);
    while (!e && next.size);
    arena_release(&kept);
    return e ? e : found_map_report(&f->map, f->source.finder);
}

/* --- the watch */

/* NOT_FOUND: what happened since is not known any more. */
static enum status take_error(struct following *f, const struct json_value *object)
{
    if (json_number_of(object, "code") == 410)
        return NOT_FOUND;
    return http_source_odd(&f->source, "it has ended the watch with an error");
}

static enum status take_event(void *context, const struct json_value *event)
{
    struct following *f = context;
    const struct json_value *object = json_get(event, SLICE("object"));
    struct slice type = json_text_of(event, "type");
    enum status e = OK;
    if (slice_equal(type, SLICE("ERROR")))
        return take_error(f, object);
    if (!take_version(f, object))
        return http_source_odd(&f->source, "a change has no version");
    if (slice_equal(type, SLICE("BOOKMARK"))) {
        finder_heard(f->source.finder);
        return OK;
    }
    if (slice_equal(type, SLICE("DELETED")))
        found_map_remove(&f->map, name_of(object));
    else
        e = put_slice(f, object);
    return e ? e : found_map_report(&f->map, f->source.finder);
}

/* OK: it has ended, as it does, and can go on. */
static enum status watch(struct following *f)
{
    struct arena arena;
    struct http_lines lines;
    char more[128];
    arena_init(&arena, (size_t)16 << 10, 0);
    snprintf(more, sizeof more,
        "&watch=1&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=", WATCH_TIME);
    http_lines_init(&lines, &f->source);
    enum status e = ask(f, &arena, more, slice_of_text(f->version));
    if (e == IO_ERROR && f->source.fetch.response.status == 410)
        e = NOT_FOUND;
    if (!e) {
        finder_heard(f->source.finder);
        e = http_lines_each(&lines, SILENCE, take_event, f);
    }
    http_lines_release(&lines);
    fetch_close(&f->source.fetch);
    arena_release(&arena);
    return e == END || e == TIMEOUT ? OK : e;
}

static enum status follow(struct finder *finder, void *value)
{
    struct following f = {.version = ""};
    found_map_init(&f.map);
    http_source_begin(&f.source, finder, value);
    enum status e = list(&f);
    while (!e) {
        instant began = loop_now();
        e = watch(&f);
        if (!e &&
            loop_now() - began < SECOND) /* a server that ends each at once is left in peace */
            e = fiber_sleep_until(began + SECOND);
        if (e == NOT_FOUND)
            e = list(&f);
    }
    http_source_end(&f.source);
    found_map_release(&f.map);
    return e;
}

const struct discovery k8s_discovery = {.scheme = "k8s",
    .form = "k8s://NAMESPACE/SERVICE",
    .help = "Services of Kubernetes.",
    .table = &table,
    .prepare = prepare,
    .follow = follow,
    .release = http_source_release};
