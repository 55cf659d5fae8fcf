#include "main/live.h"

#include <stdio.h>

#include "base/json.h"
#include "main/command.h"
#include "main/control.h"
#include "main/service_words.h"

static struct slice digits_of(const struct json_value *object, const char *key)
{
    const struct json_value *value = json_get(object, slice_of_text(key));
    return value && value->type == JSON_NUMBER ? value->text : SLICE_NONE;
}

static bool is_up(const struct json_value *endpoint)
{
    return slice_equal(json_text_of(endpoint, "state"), SLICE("up"));
}

/* The tier of those who are asked first: of whom is up. */
static long long first_tier(const struct json_value *endpoints)
{
    long long least = -1;
    json_each (one, endpoints)
        if (is_up(one) && (least < 0 || number_member(one, "tier") < least))
            least = number_member(one, "tier");
    return least;
}

/* "region/zone", as the configuration writes it. */
static struct slice zone_of(struct arena *arena, const struct json_value *endpoint)
{
    struct slice region = json_text_of(endpoint, "region"), zone = json_text_of(endpoint, "zone");
    return region.size ? arena_format(arena, "%.*s/%.*s", SLICE_ARG(region), SLICE_ARG(zone))
                       : zone;
}

/* Why it gets no requests, or fewer than others; empty: nothing stands in its way. */
static struct slice why_not(struct arena *arena, const struct json_value *service,
    const struct json_value *endpoint, long long tier)
{
    struct slice state = json_text_of(endpoint, "state"),
                 history = json_text_of(endpoint, "history");
    struct slice own = json_text_of(service, "zone"), zone = zone_of(arena, endpoint);
    long long limit = number_member(endpoint, "limit");
    if (!is_up(endpoint))
        return history.size ? history : state;
    if (slice_equal(digits_of(endpoint, "weight"), SLICE("0")))
        return SLICE("its weight is 0");
    if (limit && number_member(endpoint, "in_flight") >= limit)
        return arena_format(arena, "has %lld requests in flight, as many as its agent allows",
            number_member(endpoint, "in_flight"));
    if (number_member(endpoint, "tier") > tier)
        return arena_format(
            arena, "in tier %lld, behind tier %lld", number_member(endpoint, "tier"), tier);
    if (own.size && !slice_equal(own, zone))
        return arena_format(
            arena, "in zone %.*s; the gateway stands in %.*s", SLICE_ARG(zone), SLICE_ARG(own));
    if (slice_equal(json_text_of(endpoint, "breaker"), SLICE("half-open")))
        return SLICE("its breaker is half-open: a part passes");
    if (digits_of(endpoint, "slow_start").size)
        return arena_format(arena, "begins slowly, with %.*s of its share",
            SLICE_ARG(digits_of(endpoint, "slow_start")));
    return SLICE_NONE;
}

static void show(struct json_writer *writer, const struct json_value *endpoint, struct slice why)
{
    struct slice address = json_text_of(endpoint, "address"),
                 state = json_text_of(endpoint, "state");
    if (!writer) {
        printf("endpoint: %.*s, %.*s", SLICE_ARG(address), SLICE_ARG(state));
        if (why.size)
            printf(is_up(endpoint) ? ": %.*s" : ", not chosen: %.*s", SLICE_ARG(why));
        putchar('\n');
        return;
    }
    json_write_object(writer);
    json_put_text(writer, "address", address);
    json_put_text(writer, "state", state);
    json_put_text(writer, "why_not", why);
    json_write_object_end(writer);
}

static double share_of(const struct json_value *version, const char *key)
{
    double share = 0;
    (void)json_to_double(digits_of(version, key), &share);
    return share;
}

/* What a version really gets. */
static void show_version(struct json_writer *writer, const struct json_value *version)
{
    const struct json_value *verdict = json_get(version, SLICE("verdict"));
    struct slice name = json_text_of(version, "name"), why = json_text_of(verdict, "why");
    double share = share_of(version, "share"), written = share_of(version, "file_share");
    if (!writer) {
        printf("version:  %.*s, %.4g%% now, %.4g%% in the file", SLICE_ARG(name), share * 100,
            written * 100);
        if (why.size)
            printf(", out since %.*s: %.*s", SLICE_ARG(json_text_of(verdict, "since")),
                SLICE_ARG(why));
        putchar('\n');
        return;
    }
    json_write_object(writer);
    json_put_text(writer, "version", name);
    json_put_double(writer, "share", share);
    json_put_double(writer, "file_share", written);
    json_put_text(writer, "why_not", why);
    json_write_object_end(writer);
}

static void show_versions(const struct json_value *versions, struct json_writer *writer)
{
    if (!versions)
        return;
    if (writer) {
        json_put_array(writer, "versions");
    }
    json_each (version, versions)
        show_version(writer, version);
    if (writer)
        json_write_array_end(writer);
}

static const struct json_value *find_service(const struct json_value *root, struct slice name)
{
    const struct json_value *services = json_get(root, SLICE("services"));
    if (services)
        json_each (service, services)
            if (slice_equal(json_text_of(service, "name"), name))
                return service;
    return NULL;
}

/* How the service itself is, where that is not as usual. */
static void show_state(const struct json_value *service, struct json_writer *writer)
{
    char room[256];
    struct text text = text_fixed(room, sizeof room);
    service_words(service, &text);
    if (writer)
        json_put_text(writer, "now", text_slice(&text));
    else if (text.size)
        printf("now:      %.*s\n", SLICE_ARG(text_slice(&text)));
}

static int show_all(
    struct arena *arena, struct slice body, struct slice name, struct json_writer *writer)
{
    struct json_value *root;
    if (json_parse(arena, body, NULL, &root, NULL)) {
        fprintf(stderr, "weir: the gateway's answer is not JSON\n");
        return EXIT_FAILED;
    }
    const struct json_value *service = find_service(root, name);
    const struct json_value *endpoints = json_get(service, SLICE("endpoints"));
    if (!endpoints) {
        fprintf(stderr, "weir: the running gateway has no service \"%.*s\"\n", SLICE_ARG(name));
        return EXIT_FAILED;
    }
    show_state(service, writer);
    show_versions(json_get(service, SLICE("versions")), writer);
    if (writer) {
        json_put_array(writer, "endpoints");
    }
    long long tier = first_tier(endpoints);
    json_each (endpoint, endpoints)
        show(writer, endpoint, why_not(arena, service, endpoint, tier));
    if (writer)
        json_write_array_end(writer);
    return EXIT_DONE;
}

static int ask(struct arena *arena, const char *control, struct control_answer *ret_answer)
{
    const struct control_question question = {.method = "GET", .target = "/v1/status"};
    struct slice path = control_path(arena, control, false);
    enum status e = path.data ? control_call(arena, path, &question, ret_answer) : IO_ERROR;
    if (!e)
        return EXIT_DONE;
    if (path.data)
        fprintf(
            stderr, "weir: no gateway answers on %.*s: %s\n", SLICE_ARG(path), status_sentence(e));
    return EXIT_FAILED;
}

int live_explain(const char *control, struct slice service, struct json_writer *writer)
{
    struct arena arena;
    struct control_answer answer;
    arena_init(&arena, 0, 0);
    int code = ask(&arena, control, &answer);
    if (!code)
        code = show_all(&arena, answer.body, service, writer);
    arena_release(&arena);
    return code;
}
