#include "policy/policy.h"
#include "run/loop.h"

/* Answers that take their time: streams of events (Server-Sent Events, WHATWG HTML §9.2) and long
 * polling. What comes is sent on at once on every route; this says that silence is no fault. */

enum stream_kind { STREAM_SSE, STREAM_POLL };

static const char *const kinds[] = {"sse", "poll", NULL};

struct stream_config {
    int kind; /* enum stream_kind */
    int64_t comment, hold;
};

#define STREAM(member) offsetof(struct stream_config, member)

static const struct option options[] = {
    {"kind", OPTION_CHOICE, STREAM(kind), .is_required = true, .choices = kinds,
        .help = "sse: a stream of events without an end, no timeout ends it. poll: an answer for "
                "which clients wait long."},
    {"comment", OPTION_DURATION, STREAM(comment), .fallback = "15s",
        .help = "sse: after how much silence a comment is sent between two events, so that nothing "
                "on the way takes the stream for dead. 0s is never."},
    {"hold", OPTION_DURATION, STREAM(hold), .fallback = "5m",
        .help = "poll: how long an answer may take, in place of other timeouts."},
    {NULL},
};

static const struct option_table table = {
    .name = "stream",
    .help = "For answers that take their time: a stream of events, or long polling.",
    .options = options,
    .size = sizeof(struct stream_config),
    .shorthand = "kind",
    .example = "stream: sse",
};

/* A stream of events as its service sends it, with comments where nothing comes. */
struct event_stream {
    struct body body;
    struct body *inner; /* owned: dropped with this */
    struct exchange *x;
    int64_t comment;
    instant spoke;
    char last[3]; /* bytes that were sent */
    bool has_begun;
};

/* Between two events: after an empty line, whose ends may be LF, CR LF or CR. */
static bool is_between_events(const struct event_stream *stream)
{
    const char *last = stream->last;
    if (!stream->has_begun)
        return true;
    if (last[2] == '\r')
        return last[1] == '\r';
    return last[2] == '\n' && (last[1] == '\n' || (last[1] == '\r' && last[0] == '\n'));
}

static void remember(struct event_stream *stream, struct slice bytes)
{
    size_t from = bytes.size > sizeof stream->last ? bytes.size - sizeof stream->last : 0;
    for (size_t i = from; i < bytes.size; i++) {
        stream->last[0] = stream->last[1];
        stream->last[1] = stream->last[2];
        stream->last[2] = bytes.data[i];
    }
    stream->has_begun = true;
    stream->spoke = loop_now();
}

/* When it is to end, which a stop says; a wait until then learns of that. */
static instant leaves(const struct exchange *x)
{
    return x->hooks && x->hooks->leaves ? x->hooks->leaves(x) : NEVER;
}

static enum status wait_for_event(struct event_stream *stream, instant until)
{
    struct exchange *x = stream->x;
    bool can_doze = x->hooks && x->hooks->doze;
    if (can_doze)
        x->hooks->doze(x, true);
    enum status e = body_wait(stream->inner, until);
    if (can_doze)
        x->hooks->doze(x, false);
    return e;
}

static enum status read_event(
    struct event_stream *stream, instant deadline, struct slice *ret_bytes)
{
    enum status e = body_read(stream->inner, deadline, ret_bytes);
    stream->body.trailers = stream->inner->trailers;
    if (!e)
        remember(stream, *ret_bytes);
    return e;
}

/* It wakes up when something comes or is due, and not before. */
static enum status read_stream(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct event_stream *stream = (struct event_stream *)body;
    for (;;) {
        bool is_between = is_between_events(stream);
        instant due = is_between ? clock_after(stream->spoke, stream->comment) : NEVER;
        instant end = is_between ? leaves(stream->x) : NEVER;
        if (loop_now() >= end) {
            stream->x->facts.reason = SHUTTING_DOWN;
            return END;
        }
        enum status e = wait_for_event(stream, clock_sooner(clock_sooner(due, end), deadline));
        if (!e || loop_now() >= deadline)
            return read_event(stream, deadline, ret_bytes);
        if (e != TIMEOUT)
            return e;
        if (loop_now() >= due) {
            stream->spoke = loop_now();
            *ret_bytes = SLICE(":\n\n");
            return OK;
        }
    }
}

static void drop_stream(struct body *body)
{
    body_drop(((struct event_stream *)body)->inner);
}

static const struct body_ops stream_ops = {.read = read_stream, .drop = drop_stream};

static bool is_event_stream(const struct http_response *response)
{
    const struct fields *fields = &response->fields;
    struct slice type = fields_value(fields, FIELD_CONTENT_TYPE);
    type = slice_trim(slice_head(type, slice_find(type, ';')));
    return response->status == 200 && slice_equal_nocase(type, SLICE("text/event-stream")) &&
           !fields_has(fields, FIELD_CONTENT_ENCODING) &&
           response->body->length == BODY_LENGTH_UNKNOWN;
}

static enum status keep_alive(const struct stream_config *config, struct exchange *x)
{
    struct event_stream *stream = arena_new(&x->arena, struct event_stream);
    if (!stream)
        return NO_MEMORY;
    *stream = (struct event_stream){.body = {.ops = &stream_ops, .length = BODY_LENGTH_UNKNOWN},
        .inner = x->response.body,
        .x = x,
        .comment = config->comment,
        .spoke = loop_now()};
    x->response.body = &stream->body;
    return OK;
}

static enum status serve(const void *state, struct exchange *x, const struct handler *next)
{
    const struct stream_config *config = state;
    x->is_lasting = true;
    if (config->kind == STREAM_POLL) {
        x->patience = config->hold;
        x->deadline = clock_after(loop_now(), config->hold);
        return handler_serve(next, x);
    }
    enum status e = handler_serve(next, x);
    if (e || x->is_rehearsal || x->response.status != 200)
        return e;
    x->deadline = NEVER;
    return is_event_stream(&x->response) ? keep_alive(config, x) : OK;
}

const struct policy_type stream_policy = {
    .name = "stream",
    .plural = "streams",
    .options = &table,
    .serve = serve,
};
