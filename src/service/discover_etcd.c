/* Keys of etcd, by its JSON gateway (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway): all
 * with a prefix at one revision, then what changes from there on. 64-bit numbers are texts there,
 * and keys and values base64. */
#include "service/found_map.h"
#include "service/http_lines.h"
#include "service/registry_answers.h"

#include "base/base64.h"
#include "run/loop.h"
#include "service/instance.h"

#define ANSWER_TIME (30 * SECOND)
#define SILENCE     (60 * SECOND) /* then the watch is begun anew, in case nobody is there any more */

struct etcd_options {
    struct http_source_options http;
    struct slice user, password;
};

static const struct option rows[] = {
    HTTP_SOURCE_ROWS("http://127.0.0.1:2379", "Who we are (Authorization)."),
    {"user", OPTION_TEXT, offsetof(struct etcd_options, user),
        .help = "The user of etcd to log in as, instead of a token."},
    {"password", OPTION_SECRET, offsetof(struct etcd_options, password),
        .help = "Its password, or {file: etcd.password}."},
    {NULL}};

static const struct option_table table = {.name = "etcd",
    .help = "Keys of etcd 3.4 and later: `etcd:///services/user/` has what stands under all keys "
            "with that prefix, each an address or a map in JSON ({\"address\": …, \"weight\": …, "
            "\"tier\", \"zone\", \"labels\", \"state\"}). One that makes no sense is left out.",
    .options = rows,
    .size = sizeof(struct etcd_options),
    .example =
        "{server: \"https://etcd.internal:2379\", user: weir, password: \"${ETCD_PASSWORD}\"}"};

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    return http_source_prepare(finder, reader, place, value);
}

struct following {
    struct http_source source;
    struct found_map map;
    uint64_t revision; /* that the map is at */
    struct slice auth; /* in `session` */
    struct arena session;
};

/* --- base64 */

static void write_base64(
    struct json_writer *w, const char *key, struct arena *arena, struct slice bytes)
{
    char *room = arena_bytes(arena, base64_encoded_size(bytes.size) + 1);
    json_put_text(w, key, room ? slice_of(room, base64_encode(bytes, 0, room)) : SLICE_NONE);
}

static bool read_base64(
    const struct json_value *object, const char *key, struct arena *arena, struct slice *ret)
{
    struct slice text = json_text_of(object, key);
    char *room = arena_bytes(arena, base64_decoded_size(text.size) + 1);
    size_t size;
    if (!room || !base64_decode(text, BASE64_LENIENT, room, &size))
        return false;
    *ret = slice_of(room, size);
    return true;
}

/* All keys with the prefix: from it up to the next that has not. */
static void write_range(struct json_writer *w, struct arena *arena, struct slice prefix)
{
    char *end = arena_bytes(arena, prefix.size + 1);
    size_t size = prefix.size;
    write_base64(w, "key", arena, prefix);
    if (!end)
        return;
    memcpy(end, prefix.data, size);
    while (size && (unsigned char)end[size - 1] == 0xff)
        size--;
    if (size)
        end[size - 1]++;
    write_base64(w, "range_end", arena, size ? slice_of(end, size) : slice_of("\0", 1));
}

/* --- questions */

static enum status post(
    struct following *f, struct arena *arena, const char *target, struct text *body)
{
    struct slice token = f->auth;
    enum status e = token.size ? OK : http_source_token(&f->source, arena, &token);
    const struct fetch_field field = {"Authorization", token};
    const struct fetch_question question = {.method = "POST",
        .target = slice_of_text(target),
        .fields = &field,
        .field_count = 1,
        .type = SLICE("application/json"),
        .body = text_slice(body)};
    if (!e)
        e = body->failed ? NO_MEMORY
                         : http_source_ask(&f->source, &question, arena, loop_now() + ANSWER_TIME);
    text_release(body);
    return e;
}

static enum status log_in(struct following *f)
{
    const struct etcd_options *options = (const struct etcd_options *)f->source.options;
    struct text body = text_growing(4096);
    struct json_writer w;
    struct json_value *root;
    f->auth = SLICE_NONE;
    if (!options->user.size)
        return OK;
    json_writer_init(&w, &body, 0);
    json_write_object(&w);
    json_put_text(&w, "name", options->user);
    json_put_text(&w, "password", options->password);
    json_write_object_end(&w);
    enum status e = post(f, &f->session, "/v3/auth/authenticate", &body);
    if (!e)
        e = http_source_read(&f->source, &f->session, loop_now() + ANSWER_TIME, &root);
    if (e)
        return e;
    f->auth = json_text_of(root, "token");
    return f->auth.size ? OK : http_source_odd(&f->source, "it gives no token");
}

/* --- keys */

enum status etcd_read(const struct json_value *kv, struct findings *findings, struct text *trouble)
{
    struct slice value;
    if (!read_base64(kv, "value", findings->arena, &value)) {
        text_add_literal(trouble, "it is not in base64");
        return INVALID;
    }
    value = slice_trim(value);
    struct source source = {SLICE("<value>"), value};
    bool is_json = value.size && (value.data[0] == '{' || value.data[0] == '"');
    if (!is_json) {
        struct finding finding = {.weight = 1};
        if (!address_parse(value, &finding.address) && address_port(&finding.address))
            return findings_add(findings, &finding);
        text_add_literal(trouble, "it is no address");
        return INVALID;
    }
    return instance_read_one(&source, "etcd", findings, trouble);
}

static enum status put_value(struct following *f, struct slice key, const struct json_value *kv)
{
    struct found_part *part;
    char room[200];
    struct text trouble = text_fixed(room, sizeof room);
    enum status e = found_map_put(&f->map, key, &part);
    if (e)
        return e;
    e = etcd_read(kv, &part->findings, &trouble);
    if (e != INVALID)
        return e;
    finder_say(f->source.finder, "%.*s is left out: %.*s", SLICE_ARG(slice_head(key, 100)),
        SLICE_ARG(text_slice(&trouble)));
    found_map_remove(&f->map, key);
    return OK;
}

static enum status put_key(struct following *f, const struct json_value *kv)
{
    struct arena arena;
    struct slice key;
    arena_init(&arena, 0, 0);
    enum status e = read_base64(kv, "key", &arena, &key)
                        ? put_value(f, key, kv)
                        : http_source_odd(&f->source, "a key is not in base64");
    arena_release(&arena);
    return e;
}

static void remove_key(struct following *f, const struct json_value *kv)
{
    struct arena arena;
    struct slice key;
    arena_init(&arena, 0, 0);
    if (read_base64(kv, "key", &arena, &key))
        found_map_remove(&f->map, key);
    arena_release(&arena);
}

static bool read_revision(const struct json_value *answer, uint64_t *ret_revision)
{
    return slice_to_u64(json_text_of(json_get(answer, SLICE("header")), "revision"), ret_revision);
}

static enum status take_all(struct following *f, const struct json_value *root)
{
    enum status e = OK;
    if (!read_revision(root, &f->revision))
        return http_source_odd(&f->source, "its answer has no revision");
    found_map_clear(&f->map);
    json_each (kv, json_array_of(root, "kvs"))
        if (!e)
            e = put_key(f, kv);
    return e ? e : found_map_report(&f->map, f->source.finder);
}

static enum status read_all(struct following *f)
{
    struct arena arena;
    struct text body = text_growing(64 << 10);
    struct json_writer w;
    struct json_value *root;
    arena_init(&arena, (size_t)16 << 10, 0);
    json_writer_init(&w, &body, 0);
    json_write_object(&w);
    write_range(&w, &arena, finder_rest(f->source.finder));
    json_write_object_end(&w);
    enum status e = post(f, &arena, "/v3/kv/range", &body);
    if (!e)
        e = http_source_read(&f->source, &arena, loop_now() + ANSWER_TIME, &root);
    if (!e)
        e = take_all(f, root);
    fetch_done(&f->source.fetch);
    arena_release(&arena);
    return e;
}

/* --- the watch */

static enum status take_events(struct following *f, const struct json_value *result)
{
    const struct json_value *events = json_array_of(result, "events");
    enum status e = OK;
    bool is_cancelled = false;
    (void)json_get_bool(result, SLICE("canceled"), &is_cancelled);
    if (is_cancelled) /* compacted, or no right to: all is read anew */
        return http_source_odd(&f->source, "it has ended the watch");
    (void)read_revision(result, &f->revision);
    if (!events || !events->count) {
        finder_heard(f->source.finder);
        return OK;
    }
    json_each (event, events) {
        const struct json_value *kv = json_get(event, SLICE("kv"));
        if (!e && slice_equal(json_text_of(event, "type"), SLICE("DELETE")))
            remove_key(f, kv);
        else if (!e)
            e = put_key(f, kv);
    }
    return e ? e : found_map_report(&f->map, f->source.finder);
}

static enum status take_line(void *context, const struct json_value *line)
{
    struct following *f = context;
    const struct json_value *result = json_get(line, SLICE("result"));
    return result ? take_events(f, result) : http_source_odd(&f->source, "it has ended the watch");
}

/* OK: to be begun anew. */
static enum status watch(struct following *f)
{
    struct arena arena;
    struct http_lines lines;
    struct text body = text_growing(64 << 10);
    struct json_writer w;
    char room[24];
    struct text number = text_fixed(room, sizeof room);
    arena_init(&arena, (size_t)16 << 10, 0);
    text_add_u64(&number, f->revision + 1);
    json_writer_init(&w, &body, 0);
    json_write_object(&w);
    json_put_object(&w, "create_request");
    write_range(&w, &arena, finder_rest(f->source.finder));
    json_put_text(&w, "start_revision", text_slice(&number));
    json_write_object_end(&w);
    json_write_object_end(&w);
    http_lines_init(&lines, &f->source);
    enum status e = post(f, &arena, "/v3/watch", &body);
    if (!e)
        e = http_lines_each(&lines, SILENCE, take_line, f);
    http_lines_release(&lines);
    fetch_close(&f->source.fetch);
    arena_release(&arena);
    if (e == END) {
        (void)http_source_odd(&f->source, "it has ended the watch");
        return CLOSED;
    }
    return e == TIMEOUT ? OK : e;
}

static enum status follow(struct finder *finder, void *value)
{
    struct following f = {.revision = 0};
    arena_init(&f.session, 0, 0);
    found_map_init(&f.map);
    http_source_begin(&f.source, finder, value);
    enum status e = log_in(&f);
    if (!e)
        e = read_all(&f);
    while (!e)
        e = watch(&f);
    http_source_end(&f.source);
    found_map_release(&f.map);
    arena_release(&f.session);
    return e;
}

const struct discovery etcd_discovery = {.scheme = "etcd",
    .form = "etcd:///PREFIX/",
    .help = "Keys of etcd.",
    .table = &table,
    .prepare = prepare,
    .follow = follow,
    .release = http_source_release};
