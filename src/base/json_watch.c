#include "base/json_watch.h"

#include "base/json_scan.h"
#include "base/must.h"

void json_watch_init(struct json_watch *watch, const struct json_path *paths, size_t count)
{
    must(count <= JSON_WATCH_PATHS);
    *watch = (struct json_watch){.count = count};
    for (size_t i = 0; i < count; i++)
        watch->watched[i].path = &paths[i];
}

/* --- where it is */

static bool is_on_path(const struct json_watch *watch, const struct json_watched *watched)
{
    return watch->depth == 0 || watched->is_next;
}

/* The value that begins is what a path leads to. */
static bool is_wanted(const struct json_watch *watch, const struct json_watched *watched)
{
    return is_on_path(watch, watched) && watched->path->count == watch->depth;
}

static bool is_in_object(const struct json_watch *watch)
{
    unsigned at = watch->depth - 1;
    return watch->depth && watch->objects[at / 64] >> (at % 64) & 1;
}

static void note(struct json_watched *watched, double number)
{
    watched->is_found = true;
    watched->number = number;
}

static void count_member(struct json_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        if (watch->depth && watch->watched[i].counts_at == watch->depth)
            watch->watched[i].members++;
}

static void open_container(struct json_watch *watch, bool is_object)
{
    unsigned at = watch->depth;
    if (at == JSON_DEPTH_MAX) {
        watch->state = JSON_WATCH_LOST;
        return;
    }
    for (size_t i = 0; i < watch->count; i++) {
        struct json_watched *watched = &watch->watched[i];
        if (is_wanted(watch, watched) && !is_object) {
            watched->counts_at = at + 1;
            watched->members = 0;
        } else if (is_on_path(watch, watched)) {
            watched->reached = at + 1;
        }
        watched->is_next = false;
    }
    uint64_t bit = (uint64_t)1 << (at % 64);
    watch->objects[at / 64] &= ~bit;
    watch->objects[at / 64] |= is_object ? bit : 0;
    watch->depth++;
    watch->state = is_object ? JSON_WATCH_FIRST_KEY : JSON_WATCH_FIRST_MEMBER;
}

static void value_ends(struct json_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        watch->watched[i].is_next = false;
    watch->state = watch->depth ? JSON_WATCH_COMMA : JSON_WATCH_VALUE;
}

static void close_container(struct json_watch *watch, bool is_object)
{
    if (is_in_object(watch) != is_object || !watch->depth) {
        watch->state = JSON_WATCH_LOST;
        return;
    }
    for (size_t i = 0; i < watch->count; i++) {
        struct json_watched *watched = &watch->watched[i];
        if (watched->counts_at == watch->depth) {
            note(watched, watched->members);
            watched->counts_at = 0;
        }
        if (watched->reached == watch->depth)
            watched->reached--;
    }
    watch->depth--;
    value_ends(watch);
}

/* --- tokens */

static void begin_token(struct json_watch *watch, enum json_watch_state state, bool is_kept)
{
    watch->state = state;
    watch->is_kept = is_kept;
    watch->is_escaped = false;
    watch->token_size = 0;
}

static void keep(struct json_watch *watch, char c)
{
    if (watch->token_size < JSON_WATCH_TOKEN)
        watch->token[watch->token_size] = c;
    watch->token_size++;
}

/* Empty: it was longer than anything that is looked for. */
static struct slice token_of(const struct json_watch *watch)
{
    return slice_of(watch->token, watch->token_size <= JSON_WATCH_TOKEN ? watch->token_size : 0);
}

static void key_ends(struct json_watch *watch)
{
    struct slice text = token_of(watch);
    watch->state = JSON_WATCH_COLON;
    if (!watch->is_kept || text.size < 2)
        return;
    struct json_scan scan = json_scan_string(text);
    struct json_token key = {.event = JSON_EVENT_KEY,
        .has_escapes = scan.has_escapes,
        .raw = slice_of(text.data + 1, text.size - 2)};
    for (size_t i = 0; !scan.result && i < watch->count; i++) {
        struct json_watched *watched = &watch->watched[i];
        watched->is_next = watched->reached == watch->depth &&
                           watched->path->count >= watch->depth &&
                           json_text_equal(&key, watched->path->names[watch->depth - 1]);
    }
}

static bool is_whole_number(struct slice text)
{
    struct json_scan scan = json_scan_number(text, true);
    return text.size && scan.result == OK && scan.size == text.size;
}

/* A scalar as written has ended. */
static void scalar_ends(struct json_watch *watch, struct slice text)
{
    double number;
    if (watch->is_kept && is_whole_number(text) && !json_to_double(text, &number))
        for (size_t i = 0; i < watch->count; i++)
            if (is_wanted(watch, &watch->watched[i]))
                note(&watch->watched[i], number);
    value_ends(watch);
}

static void word_ends(struct json_watch *watch)
{
    struct slice text = token_of(watch);
    if (is_whole_number(text) || slice_equal(text, SLICE("null")) ||
        slice_equal(text, SLICE("true")) || slice_equal(text, SLICE("false")))
        scalar_ends(watch, text);
    else
        watch->state = JSON_WATCH_LOST;
}

static void string_ends(struct json_watch *watch)
{
    struct slice text = token_of(watch);
    if (watch->is_key)
        key_ends(watch);
    else
        scalar_ends(watch, text.size < 2 ? SLICE_NONE : slice_of(text.data + 1, text.size - 2));
}

/* --- bytes */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_of_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' ||
           c == 'E';
}

static void begin_string(struct json_watch *watch, bool is_key)
{
    bool is_kept = false;
    for (size_t i = 0; i < watch->count; i++) {
        const struct json_watched *watched = &watch->watched[i];
        is_kept =
            is_kept || (is_key ? watched->reached == watch->depth : is_wanted(watch, watched));
    }
    begin_token(watch, JSON_WATCH_STRING, is_kept);
    watch->is_key = is_key;
    keep(watch, '"');
}

static void begin_value(struct json_watch *watch, char c)
{
    count_member(watch);
    if (c == '{' || c == '[') {
        open_container(watch, c == '{');
    } else if (c == '"') {
        begin_string(watch, false);
    } else if (is_of_word(c)) {
        begin_token(watch, JSON_WATCH_WORD, true);
        keep(watch, c);
    } else {
        watch->state = JSON_WATCH_LOST;
    }
}

static void go_on(struct json_watch *watch, char c)
{
    if (c == ',')
        watch->state = is_in_object(watch) ? JSON_WATCH_KEY : JSON_WATCH_VALUE;
    else if (c == '}' || c == ']')
        close_container(watch, c == '}');
    else
        watch->state = JSON_WATCH_LOST;
}

static void read_key(struct json_watch *watch, char c)
{
    if (c == '"')
        begin_string(watch, true);
    else if (c == '}' && watch->state == JSON_WATCH_FIRST_KEY)
        close_container(watch, true);
    else
        watch->state = JSON_WATCH_LOST;
}

/* A byte outside of tokens. */
static void read_sign(struct json_watch *watch, char c)
{
    switch (watch->state) {
    case JSON_WATCH_FIRST_MEMBER:
        if (c == ']') {
            close_container(watch, false);
            return;
        }
        begin_value(watch, c);
        return;
    case JSON_WATCH_VALUE:
        begin_value(watch, c);
        return;
    case JSON_WATCH_FIRST_KEY:
    case JSON_WATCH_KEY:
        read_key(watch, c);
        return;
    case JSON_WATCH_COLON:
        watch->state = c == ':' ? JSON_WATCH_VALUE : JSON_WATCH_LOST;
        return;
    case JSON_WATCH_COMMA:
        go_on(watch, c);
        return;
    case JSON_WATCH_STRING:
    case JSON_WATCH_WORD:
    case JSON_WATCH_LOST:
        return;
    }
}

/* How many bytes belong to the string, which goes on or ends with them. */
static size_t read_string(struct json_watch *watch, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        char c = bytes.data[i];
        if (watch->is_kept)
            keep(watch, c);
        if (watch->is_escaped) {
            watch->is_escaped = false;
        } else if (c == '\\') {
            watch->is_escaped = true;
        } else if (c == '"') {
            string_ends(watch);
            return i + 1;
        }
    }
    return bytes.size;
}

static size_t read_word(struct json_watch *watch, struct slice bytes)
{
    size_t i = 0;
    for (; i < bytes.size && is_of_word(bytes.data[i]); i++)
        keep(watch, bytes.data[i]);
    if (i < bytes.size)
        word_ends(watch);
    return i;
}

void json_watch_feed(struct json_watch *watch, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size && watch->state != JSON_WATCH_LOST;) {
        if (watch->state == JSON_WATCH_STRING) {
            i += read_string(watch, slice_from(bytes, i));
        } else if (watch->state == JSON_WATCH_WORD) {
            i += read_word(watch, slice_from(bytes, i));
        } else {
            if (!is_blank(bytes.data[i]))
                read_sign(watch, bytes.data[i]);
            i++;
        }
    }
}

void json_watch_end(struct json_watch *watch)
{
    if (watch->state == JSON_WATCH_WORD)
        word_ends(watch);
    watch->state = JSON_WATCH_VALUE;
    watch->depth = 0;
    for (size_t i = 0; i < watch->count; i++) {
        struct json_watched *watched = &watch->watched[i];
        watched->reached = watched->counts_at = 0;
        watched->is_next = false;
    }
}

bool json_watch_find(const struct json_watch *watch, struct slice name, double *ret_number)
{
    for (size_t i = 0; i < watch->count; i++)
        if (watch->watched[i].is_found && slice_equal(watch->watched[i].path->name, name)) {
            *ret_number = watch->watched[i].number;
            return true;
        }
    return false;
}
