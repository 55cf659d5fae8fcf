#include "service/http_source.h"

#include "run/loop.h"

#define TOKEN_MAX ((size_t)64 << 10)
#define CA_MAX    ((size_t)4 << 20)

/* --- preparing */

static enum status read_authorities(struct finder *finder, struct reader *reader,
    const struct http_source_options *options, struct tls_authorities **ret)
{
    const struct source *file;
    const char *problem = "";
    if (!options->ca.size) {
        struct tls_authorities *system = plane_authorities(finder_plane(finder));
        if (system)
            *ret = tls_authorities_ref(system);
        return system ? OK : IO_ERROR;
    }
    struct slice path = source_path(reader->arena, options->ca_place.source, options->ca);
    enum status e = path.data ? source_read(reader->arena, path, CA_MAX, &file) : NO_MEMORY;
    if (!e)
        e = tls_authorities_new(file->text, ret, &problem);
    if (e && e != NO_MEMORY)
        return diagnostics_error(reader->diagnostics, options->ca_place, SLICE_NONE, "\"%.*s\": %s",
            SLICE_ARG(slice_head(path, 200)), *problem ? problem : status_sentence(e));
    return e;
}

static enum status make_tls(
    struct finder *finder, struct reader *reader, struct http_source_options *options)
{
    static const struct slice protocol = SLICE_INIT("http/1.1");
    struct tls_authorities *authorities = NULL;
    enum status e = read_authorities(finder, reader, options, &authorities);
    if (e)
        return e;
    const struct tls_client_options how = {
        .authorities = authorities, .protocols = &protocol, .protocol_count = 1};
    e = tls_client_new(&how, &options->tls);
    tls_authorities_unref(authorities);
    return e;
}

/* Paths are kept as the file that names them means them. */
static enum status find_file(struct reader *reader, struct place place, struct slice *name)
{
    if (!name->size)
        return OK;
    *name = source_path(reader->arena, place.source, *name);
    return name->data ? OK : NO_MEMORY;
}

/* What would end a line in a request's head, or begin something else there. */
static bool has_odd_bytes(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] <= ' ' || s.data[i] == 127)
            return true;
    return false;
}

enum status http_source_prepare(struct finder *finder, struct reader *reader, struct place place,
    struct http_source_options *options)
{
    const char *problem = "";
    if (has_odd_bytes(options->token))
        return diagnostics_error(reader->diagnostics, place, SLICE_NONE,
            "a token has no blanks and no control bytes in it");
    enum status e = fetch_place_parse(reader->arena, options->server, &options->place, &problem);
    struct slice *path = &options->place.path;
    while (!e && slice_has_suffix(*path, SLICE("/")))
        path->size--;
    if (!e && (slice_find(*path, '?') < path->size || slice_find(*path, '#') < path->size))
        e = INVALID, problem = "a server's address has no query";
    if (e == INVALID)
        return diagnostics_error(reader->diagnostics, place, SLICE("server: http://10.0.0.1:8500"),
            "\"%.*s\" is no server: %s", SLICE_ARG(slice_head(options->server, 200)), problem);
    if (!e)
        e = find_file(reader, place, &options->token_file);
    if (!e && options->place.is_tls)
        e = make_tls(finder, reader, options);
    return e;
}

void http_source_release(void *value)
{
    struct http_source_options *options = value;
    tls_client_unref(options->tls);
}

/* --- asking */

void http_source_begin(struct http_source *source, struct finder *finder, void *value)
{
    const struct http_source_options *options = value;
    *source = (struct http_source){.finder = finder, .options = options};
    fetch_init(&source->fetch, &options->place, plane_resolver(finder_plane(finder)), options->tls);
}

void http_source_end(struct http_source *source)
{
    fetch_close(&source->fetch);
}

enum status http_source_token(
    const struct http_source *source, struct arena *arena, struct slice *ret_token)
{
    const struct source *file;
    struct slice path = source->options->token_file;
    *ret_token = source->options->token;
    if (!path.size)
        return OK;
    enum status e = source_read(arena, path, TOKEN_MAX, &file);
    if (e == NO_MEMORY)
        return e;
    struct slice token = e ? SLICE_NONE : slice_trim(file->text);
    while (token.size && (token.data[token.size - 1] == '\n' || token.data[token.size - 1] == '\r'))
        token = slice_trim(slice_head(token, token.size - 1));
    if (!e && !has_odd_bytes(token)) {
        *ret_token = token;
        return OK;
    }
    finder_complain(source->finder, "the token's file %.*s %s", SLICE_ARG(slice_head(path, 100)),
        e ? "cannot be read" : "holds no token");
    return NOT_FOUND;
}

enum status http_source_bearer(
    const struct http_source *source, struct arena *arena, struct slice *ret_value)
{
    struct slice token;
    enum status e = http_source_token(source, arena, &token);
    if (!e && token.size)
        token = arena_format(arena, "Bearer %.*s", SLICE_ARG(token));
    if (!e)
        *ret_value = token;
    return e;
}

static enum status complain(struct http_source *source, enum status e)
{
    if (e != CANCELLED)
        finder_complain(source->finder, "%.*s: %s",
            SLICE_ARG(slice_head(source->options->server, 100)),
            *source->fetch.trouble ? source->fetch.trouble : status_sentence(e));
    return e;
}

enum status http_source_ask(struct http_source *source, const struct fetch_question *question,
    struct arena *arena, instant deadline)
{
    struct slice said = SLICE_NONE;
    enum status e = fetch_ask(&source->fetch, question, arena, deadline);
    if (e)
        return complain(source, e);
    int status = source->fetch.response.status;
    if (status >= 200 && status < 300)
        return OK;
    (void)fetch_read_all(&source->fetch, 4096, deadline, &said);
    fetch_close(&source->fetch);
    if (fiber_is_cancelled(fiber_current()))
        return CANCELLED;
    size_t line = slice_find(slice_head(said, 120), '\n');
    finder_complain(source->finder, "%.*s answers %d%s%.*s",
        SLICE_ARG(slice_head(source->options->server, 100)), status, line ? ": " : "",
        SLICE_ARG(slice_head(said, line)));
    return IO_ERROR;
}

enum status http_source_read(
    struct http_source *source, struct arena *arena, instant deadline, struct json_value **ret_root)
{
    const struct json_limits limits = {
        .size = HTTP_SOURCE_ANSWER_MAX, .allow_duplicate_keys = true};
    struct slice body;
    enum status e = fetch_read_all(&source->fetch, HTTP_SOURCE_ANSWER_MAX, deadline, &body);
    fetch_done(&source->fetch);
    if (e)
        return complain(source, e);
    e = json_parse(arena, body, &limits, ret_root, NULL);
    return e && e != NO_MEMORY ? http_source_odd(source, "its answer is not JSON") : e;
}

enum status http_source_odd(struct http_source *source, const char *what)
{
    if (source->finder)
        finder_complain(
            source->finder, "%.*s: %s", SLICE_ARG(slice_head(source->options->server, 100)), what);
    return INVALID;
}

enum status http_source_poll(struct finder *finder, void *options,
    enum status (*ask)(
        struct http_source *source, struct arena *arena, void *state, int64_t *ret_pause),
    void *state)
{
    struct http_source source;
    enum status e = OK;
    http_source_begin(&source, finder, options);
    while (!e) {
        struct arena arena;
        int64_t pause = 0;
        arena_init(&arena, (size_t)16 << 10, 0);
        e = ask(&source, &arena, state, &pause);
        fetch_done(&source.fetch);
        arena_release(&arena);
        if (!e)
            e = fiber_sleep_until(loop_now() + pause);
    }
    http_source_end(&source);
    return e;
}

/* --- findings */

enum status http_source_report(struct http_source *source, struct arena *arena,
    const struct json_value *root,
    enum status (*read)(
        struct http_source *source, const struct json_value *root, struct findings *findings))
{
    struct findings findings = {.arena = arena};
    enum status e = read(source, root, &findings);
    return e ? e : finder_report(source->finder, &findings);
}

enum status http_source_add(struct http_source *source, struct findings *findings,
    struct finding finding, struct slice host, int64_t port)
{
    return findings_add_host(findings, finding, source->fetch.resolver, host, port);
}

enum status http_source_label(
    struct arena *arena, struct finding *finding, struct slice key, struct slice value)
{
    if (!finding->labels)
        finding->labels = arena_array(arena, FOUND_LABELS_MAX, sizeof *finding->labels);
    if (!finding->labels)
        return NO_MEMORY;
    if (finding->label_count < FOUND_LABELS_MAX)
        finding->labels[finding->label_count++] = (struct found_label){key, value};
    return OK;
}

enum status http_source_labels(
    struct arena *arena, const struct json_value *object, struct finding *finding)
{
    if (!object || object->type != JSON_OBJECT)
        return OK;
    enum status e = OK;
    json_each (member, object)
        if (!e && member->type == JSON_STRING)
            e = http_source_label(arena, finding, member->key, member->text);
    return e;
}
