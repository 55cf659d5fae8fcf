#include "service/http_lines.h"

#include "run/loop.h"

void http_lines_init(struct http_lines *lines, struct http_source *source)
{
    *lines = (struct http_lines){.source = source, .text = text_growing(HTTP_SOURCE_ANSWER_MAX)};
}

void http_lines_release(struct http_lines *lines)
{
    text_release(&lines->text);
}

/* A whole line that is there already. */
static bool take_line(struct http_lines *lines, struct slice *ret_line)
{
    for (;;) {
        struct slice rest = slice_from(text_slice(&lines->text), lines->taken);
        size_t end = slice_find(rest, '\n');
        if (end == rest.size)
            return false;
        lines->taken += end + 1;
        *ret_line = slice_trim(slice_head(rest, end));
        if (ret_line->size)
            return true;
    }
}

static void forget_taken(struct http_lines *lines)
{
    size_t left = lines->text.size - lines->taken;
    if (lines->taken && left)
        memmove(lines->text.data, lines->text.data + lines->taken, left);
    lines->text.size = left;
    lines->taken = 0;
}

static enum status read_more(struct http_lines *lines, instant deadline)
{
    struct slice bytes;
    enum status e = fetch_read(&lines->source->fetch, deadline, &bytes);
    if (e == END || e == TIMEOUT || e == CANCELLED)
        return e;
    if (e)
        return http_source_odd(lines->source, "its answer broke off") ? CLOSED : e;
    forget_taken(lines);
    text_add(&lines->text, bytes);
    return lines->text.failed ? http_source_odd(lines->source, "a change is too large") : OK;
}

enum status http_lines_next(
    struct http_lines *lines, struct arena *arena, instant deadline, struct json_value **ret_value)
{
    const struct json_limits limits = {
        .size = HTTP_SOURCE_ANSWER_MAX, .allow_duplicate_keys = true};
    struct slice line;
    while (!take_line(lines, &line)) {
        enum status e = read_more(lines, deadline);
        if (e)
            return e;
    }
    enum status e = json_parse(arena, line, &limits, ret_value, NULL);
    return e && e != NO_MEMORY ? http_source_odd(lines->source, "a change is not JSON") : e;
}

enum status http_lines_each(struct http_lines *lines, int64_t silence,
    enum status (*take)(void *context, const struct json_value *line), void *context)
{
    enum status e = OK;
    while (!e) {
        struct arena arena;
        struct json_value *line;
        arena_init(&arena, (size_t)16 << 10, 0);
        e = http_lines_next(lines, &arena, loop_now() + silence, &line);
        if (!e && fiber_is_cancelled(fiber_current()))
            e = CANCELLED;
        if (!e)
            e = take(context, line);
        arena_release(&arena);
    }
    return e;
}
