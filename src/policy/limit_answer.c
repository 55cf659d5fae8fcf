#include "policy/limit_answer.h"

#include "base/json_writer.h"

#define PROBLEM_TYPE "https://iana.org/assignments/http-problem-types#quota-exceeded"

static int64_t seconds_up(int64_t nanoseconds)
{
    return nanoseconds / SECOND + (nanoseconds % SECOND != 0);
}

/* A Structured Fields string (RFC 9651 §3.3.3) has only visible ASCII; other bytes become "?". */
static void add_string(struct text *text, struct slice s)
{
    text_add_char(text, '"');
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (c == '"' || c == '\\')
            text_add_char(text, '\\');
        text_add_char(text, c < 0x20 || c > 0x7e ? '?' : c);
    }
    text_add_char(text, '"');
}

static void add_parameter(struct text *text, const char *name, int64_t value)
{
    text_add_char(text, ';');
    text_add(text, slice_of_text(name));
    text_add_char(text, '=');
    text_add_i64(text, value);
}

static void add_unit(struct text *text, const char *unit)
{
    text_add(text, SLICE(";qu="));
    add_string(text, slice_of_text(unit));
}

enum status limit_words_make(struct arena *arena, struct slice name,
    const struct limit_quota *quota, struct limit_words *ret_words)
{
    struct text text = text_growing(0);
    add_string(&text, name);
    size_t beginning = text.size;
    add_parameter(&text, "q", quota->count);
    if (quota->unit)
        add_unit(&text, quota->unit);
    if (quota->window)
        add_parameter(&text, "w", seconds_up(quota->window));
    struct slice policy = text.failed ? SLICE_NONE : arena_copy(arena, text_slice(&text));
    text_release(&text);
    if (!policy.data)
        return NO_MEMORY;
    *ret_words = (struct limit_words){.name = slice_head(policy, beginning), .policy = policy};
    return OK;
}

#define NUMBERS_MAX 64 /* ";r=", ";t=" and their numbers */

void limit_add_fields(
    struct exchange *x, const struct limit_words *words, const struct limit_decision *decision)
{
    struct fields *fields = &x->response.fields;
    size_t room = words->name.size + NUMBERS_MAX;
    char *memory = arena_bytes(&x->arena, room);
    if (!memory || fields_add_made(fields, FIELD_RATELIMIT_POLICY, words->policy))
        return;
    struct text text = text_fixed(memory, room);
    text_add(&text, words->name);
    add_parameter(&text, "r", decision->remaining);
    if (decision->wait)
        add_parameter(&text, "t", seconds_up(decision->wait));
    (void)fields_add_made(fields, FIELD_RATELIMIT, text_slice(&text));
}

/* Whoever shares a bucket and was refused in the same moment should not come back in the same
 * moment: up to a quarter is added, by chance. Never earlier than `t`, as the draft asks. */
static int64_t retry_after(const struct exchange *x, const struct limit_decision *decision)
{
    int64_t seconds = decision->wait ? seconds_up(decision->wait) : 1;
    uint64_t mixed = x->id_number * 0x9E3779B97F4A7C15u >> 32;
    return seconds + (int64_t)(mixed % (uint64_t)(seconds / 4 + 1));
}

static struct slice explain(struct exchange *x, const struct limit_quota *quota, int64_t seconds)
{
    if (!quota->window)
        return arena_format(&x->arena, "At most %lld at a time; try again in %lld seconds.",
            (long long)quota->count, (long long)seconds);
    return arena_format(&x->arena, "At most %lld in %lld seconds; try again in %lld seconds.",
        (long long)quota->count, (long long)seconds_up(quota->window), (long long)seconds);
}

static struct slice problem(
    struct exchange *x, struct slice name, const struct limit_quota *quota, int64_t seconds)
{
    char room[1024];
    struct text text = text_fixed(room, sizeof room);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_object(&writer);
    json_put_text(&writer, "type", SLICE(PROBLEM_TYPE));
    json_put_text(&writer, "title", http_reason_phrase(status_http(LIMIT_EXCEEDED)));
    json_put_i64(&writer, "status", status_http(LIMIT_EXCEEDED));
    json_put_text(&writer, "reason", slice_of_text(status_word(LIMIT_EXCEEDED)));
    json_put_text(&writer, "detail", explain(x, quota, seconds));
    json_put_array(&writer, "violated-policies");
    json_write_string(&writer, name);
    json_write_array_end(&writer);
    if (x->request_id.size)
        json_put_text(&writer, "request_id", x->request_id);
    json_write_object_end(&writer);
    text_add_char(&text, '\n');
    return text.failed ? SLICE_NONE : arena_copy(&x->arena, text_slice(&text));
}

enum status limit_refuse(struct exchange *x, struct slice name, const struct limit_quota *quota,
    const struct limit_decision *decision)
{
    int64_t seconds = retry_after(x, decision);
    /* The usual answer first: it stays as it is when there is no memory for more. */
    exchange_respond_problem(x, LIMIT_EXCEEDED, SLICE_NONE);
    struct slice document = x->grpc ? SLICE_NONE : problem(x, name, quota, seconds);
    if (document.data)
        x->response.body = body_init_slice(&x->answer, document);
    struct slice wait = arena_format(&x->arena, "%lld", (long long)seconds);
    if (wait.data)
        (void)fields_set_known(&x->response.fields, FIELD_RETRY_AFTER, wait);
    return OK;
}
