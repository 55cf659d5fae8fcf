/* `weir explain 'GET https://host/path' -H 'Name: value' --config FILE`: what would happen to a
 * request, and why. */
#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "gateway/rehearsal.h"
#include "handler/handler.h"
#include "main/arguments.h"
#include "main/explain_door.h"
#include "main/live.h"
#include "main/load.h"

#define FIELDS_MAX 64

struct explain {
    const char *path;
    const char *client;
    const char *control; /* of a running gateway that is asked how endpoints are; NULL: none is */
    bool json;
    struct slice method, host, target;
    bool is_secure;
    struct rehearsal_field fields[FIELDS_MAX];
    size_t field_count;
};

static bool split_field(const char *word, struct rehearsal_field *field)
{
    struct slice text = slice_of_text(word);
    size_t colon = slice_find(text, ':');
    if (colon == text.size)
        return false;
    field->name = slice_head(text, colon);
    field->value = slice_trim(slice_from(text, colon + 1));
    return true;
}

/* "CONNECT host:port", which only forward proxies take. */
static bool is_tunnel(const struct explain *explain)
{
    return slice_equal(explain->method, SLICE("CONNECT")) && !explain->host.size;
}

/* "GET https://host/path?query", the method and the scheme with host may be left out. */
static bool split_request(const char *word, struct explain *explain)
{
    struct slice text = slice_of_text(word);
    size_t blank = slice_find(text, ' ');
    explain->method = blank < text.size ? slice_head(text, blank) : SLICE("GET");
    struct slice url = blank < text.size ? slice_trim(slice_from(text, blank + 1)) : text;
    explain->is_secure = slice_has_prefix(url, SLICE("https://"));
    size_t scheme = slice_find_slice(url, SLICE("://"));
    if (scheme < url.size) {
        struct slice rest = slice_from(url, scheme + 3);
        size_t slash = slice_find(rest, '/');
        explain->host = slice_head(rest, slash);
        url = slash < rest.size ? slice_from(rest, slash) : SLICE("/");
    }
    explain->target = url;
    return slice_has_prefix(url, SLICE("/")) || is_tunnel(explain);
}

struct near_misses {
    struct json_writer *writer; /* NULL: for people */
    size_t count;
};

static void report_miss(void *argument, const struct route_rule *rule, const char *why)
{
    struct near_misses *misses = argument;
    const struct route *route = rule->route;
    if (!misses->writer) {
        printf("%s  %.*s (%.*s:%u): %s\n", misses->count++ ? "" : "not:\n", SLICE_ARG(route->name),
            SLICE_ARG(rule->place.source->name), rule->place.line, why);
        return;
    }
    json_write_object(misses->writer);
    json_put_text(misses->writer, "route", route->name);
    json_put_text(misses->writer, "why", slice_of_text(why));
    json_write_object_end(misses->writer);
}

/* Unless it is empty. */
static void print_pair(const char *format, struct slice value)
{
    if (value.size)
        printf(format, SLICE_ARG(value));
}

static void explain_link(const struct policy_link *link, struct exchange *x, struct text *text)
{
    text_clear(text);
    if (link->type->explain)
        link->type->explain(link->config, x, text);
}

static void print_route(const struct route *route, struct exchange *x)
{
    const struct route_options *options = route->options;
    struct text text = text_growing(0);
    printf("route:    %.*s (%.*s:%u)\n", SLICE_ARG(route->name),
        SLICE_ARG(options->place.source->name), options->place.line);
    for (size_t i = 0; i < route->link_count; i++) {
        explain_link(&route->links[i], x, &text);
        printf("policy:   %s%s%.*s\n", route->links[i].type->name, text.size ? ": " : "",
            SLICE_ARG(text_slice(&text)));
    }
    text_clear(&text);
    if (options->handler->explain)
        options->handler->explain(options->handler_config, x, &text);
    printf("handler:  %s%s%.*s\n", options->handler->name, text.size ? ": " : "",
        SLICE_ARG(text_slice(&text)));
    text_release(&text);
}

static const struct service *find_service(const struct snapshot *snapshot, struct slice name)
{
    for (size_t i = 0; i < snapshot->service_count; i++)
        if (slice_equal(service_name(snapshot->services[i]), name))
            return snapshot->services[i];
    return NULL;
}

/* What the file says of the route's service, and how much may be under way there. */
static void explain_service(
    const struct snapshot *snapshot, struct slice name, struct json_writer *writer)
{
    const struct service *service = find_service(snapshot, name);
    struct text settings = text_growing(0), limits = text_growing(0);
    if (!service)
        return;
    service_explain_settings(service, &settings);
    service_explain_limits(service, &limits);
    if (writer) {
        json_put_text(writer, "settings", text_slice(&settings));
        json_put_text(writer, "limits", text_slice(&limits));
    } else {
        printf("service:  %.*s\n", SLICE_ARG(name));
        print_pair("settings: %.*s\n", text_slice(&settings));
        print_pair("limits:   %.*s\n", text_slice(&limits));
    }
    text_release(&settings);
    text_release(&limits);
}

/* How the endpoints are in the gateway that runs, if it is to be asked. */
static int explain_live(
    const struct explain *explain, const struct rehearsal *rehearsal, struct json_writer *writer)
{
    bool is_asked = explain->control && rehearsal->route && rehearsal->route->service.size;
    return is_asked ? live_explain(explain->control, rehearsal->route->service, writer) : EXIT_DONE;
}

static int print_outcome(
    const struct explain *explain, const struct loaded *loaded, struct rehearsal *rehearsal)
{
    struct near_misses misses = {NULL, 0};
    struct exchange *x = &rehearsal->x;
    printf("request:  %.*s %.*s, host %.*s\n", SLICE_ARG(x->request.method_text),
        SLICE_ARG(x->request.path), SLICE_ARG(x->request.host));
    explain_door(loaded->snapshot, x->request.host, x->is_secure, NULL);
    if (rehearsal->route) {
        print_route(rehearsal->route, x);
        explain_service(loaded->snapshot, rehearsal->route->service, NULL);
    }
    int code = explain_live(explain, rehearsal, NULL);
    if (rehearsal->result)
        printf("answer:   %d %s\n", x->response.status, status_word(rehearsal->result));
    else if (x->facts.tries)
        printf("answer:   what the service says\n");
    else
        printf("answer:   %d\n", x->response.status);
    router_explain(loaded->snapshot->router, x, report_miss, &misses);
    return code;
}

static void write_policies(
    struct json_writer *writer, const struct route *route, struct exchange *x)
{
    struct text text = text_growing(0);
    json_put_array(writer, "policies");
    for (size_t i = 0; route && i < route->link_count; i++) {
        explain_link(&route->links[i], x, &text);
        json_write_object(writer);
        json_put_text(writer, "name", slice_of_text(route->links[i].type->name));
        json_put_text(writer, "verdict", text_slice(&text));
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
    text_release(&text);
}

static int write_outcome(
    const struct explain *explain, const struct loaded *loaded, struct rehearsal *rehearsal)
{
    struct text text = text_growing(0);
    struct json_writer writer;
    struct near_misses misses = {&writer, 0};
    struct exchange *x = &rehearsal->x;
    json_writer_init(&writer, &text, 2);
    json_write_object(&writer);
    json_put_text(&writer, "path", x->request.path);
    explain_door(loaded->snapshot, x->request.host, x->is_secure, &writer);
    if (rehearsal->route) {
        const struct place *place = &rehearsal->route->options->place;
        json_put_text(&writer, "route", rehearsal->route->name);
        json_put_text(&writer, "file", place->source->name);
        json_put_u64(&writer, "line", place->line);
        json_put_text(&writer, "service", rehearsal->route->service);
        explain_service(loaded->snapshot, rehearsal->route->service, &writer);
    }
    write_policies(&writer, rehearsal->route, x);
    int code = explain_live(explain, rehearsal, &writer);
    json_put_text(&writer, "reason", slice_of_text(status_word(rehearsal->result)));
    if (x->facts.tries && !rehearsal->result)
        json_put_null(&writer, "status");
    else
        json_put_i64(&writer, "status", x->response.status);
    json_put_array(&writer, "near_misses");
    router_explain(loaded->snapshot->router, x, report_miss, &misses);
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    printf("%.*s\n", SLICE_ARG(text_slice(&text)));
    text_release(&text);
    return code;
}

static int explain_loaded(const struct explain *explain, struct loaded *loaded)
{
    struct rehearsal rehearsal;
    struct rehearsal_request request = {.method = explain->method,
        .host = explain->host,
        .target = explain->target,
        .fields = explain->fields,
        .field_count = explain->field_count,
        .client = slice_of_text(explain->client),
        .is_secure = explain->is_secure};
    int code = EXIT_FAILED;
    if (rehearse(loaded->snapshot, &request, &rehearsal))
        fprintf(stderr,
            "weir: the request makes no sense: look at its host, path, fields and client\n");
    else if (explain->json)
        code = write_outcome(explain, loaded, &rehearsal);
    else
        code = print_outcome(explain, loaded, &rehearsal);
    rehearsal_release(&rehearsal);
    return code;
}

static int run_explain(void *argument)
{
    const struct explain *explain = argument;
    struct loaded loaded;
    int code = load_configuration(explain->path, false, &loaded);
    if (code == EXIT_DONE)
        code = is_tunnel(explain) ? explain_tunnel(loaded.snapshot, explain->target)
                                  : explain_loaded(explain, &loaded);
    loaded_release(&loaded);
    return code;
}

/* Fields may come any number of times, so they are taken out before the rest is read. */
static int take_fields(struct explain *explain, int *count, char **words)
{
    int kept = 0;
    for (int i = 0; i < *count; i++) {
        if (strcmp(words[i], "-H") != 0) {
            words[kept++] = words[i];
            continue;
        }
        if (i + 1 >= *count || explain->field_count == FIELDS_MAX ||
            !split_field(words[++i], &explain->fields[explain->field_count]))
            return command_usage(&explain_command, "-H needs 'Name: value'");
        explain->field_count++;
    }
    *count = kept;
    return EXIT_DONE;
}

static int run(int count, char **words)
{
    struct explain explain = {.client = "127.0.0.1"};
    const char *request = NULL;
    const struct argument taken[] = {{.value = &request},
        {.value = &explain.path, .is_required = true},
        {.name = "--client", .value = &explain.client},
        {.name = "--control", .value = &explain.control}, {.name = "--json", .flag = &explain.json},
        {0}};
    int code = take_fields(&explain, &count, words);
    if (!code)
        code = arguments_read(&explain_command, count, words, taken);
    if (!code && !split_request(request, &explain))
        code = command_usage(&explain_command, "needs a request such as 'GET https://host/path'");
    return code ? code : run_on_fiber(run_explain, &explain);
}

static const char *const options[] = {"-H", "--client", "--control", "--json", NULL};

const struct command explain_command = {.name = "explain",
    .arguments =
        "'GET https://host/path' FILE [-H 'Name: value']... [--client IP] [--control PATH] "
        "[--json]",
    .summary = "Says what would happen to a request, and why.",
    .help = "Shows the route with its place in the file, the policies with their verdicts, the "
            "service, and the\n"
            "routes that came near, with why they do not match. 'CONNECT host:443' asks forward "
            "proxies.\n"
            "--control asks a running gateway how the service's endpoints are, and why one is not "
            "chosen.",
    .options = options,
    .run = run};
