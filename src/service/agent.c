#include "service/agent.h"

#include "run/loop.h"
#include "service/agent_words.h"
#include "service/check_question.h"
#include "service/errand.h"
#include "service/grade.h"
#include "service/reports.h"

#define LINE_MAX_SIZE 512
#define JITTER        10 /* a tenth of the interval, either way */

/* --- asking */

static enum status read_line(struct question *q, struct stream *stream)
{
    char *room = arena_bytes(q->arena, LINE_MAX_SIZE);
    size_t size = 0, got;
    enum status e = room ? OK : NO_MEMORY;
    while (!e && size < LINE_MAX_SIZE) {
        e = stream_read(stream, room + size, LINE_MAX_SIZE - size, q->deadline, &got);
        size += e ? 0 : got;
        if (!e && memchr(room, '\n', size))
            break;
    }
    q->body = slice_of(room, size);
    return e == END && size ? OK : e;
}

/* A plain line by TCP, whatever the service itself speaks. */
static enum status ask_tcp(struct question *q)
{
    struct stream *stream;
    struct tls_client *client = q->client;
    q->client = NULL;
    q->send_proxy = PROXY_NONE;
    enum status e = question_connect(q, &stream);
    q->client = client;
    if (e)
        return e;
    e = read_line(q, stream);
    stream_close(stream);
    return e;
}

static enum status ask_http(struct question *q)
{
    enum status e = check_ask_http(q);
    return !e && (q->response.status < 200 || q->response.status > 299) ? INVALID : e;
}

static enum status ask(struct question *q, const struct endpoint *endpoint)
{
    const struct service_options *options = endpoint->asked_by;
    const struct agent_options *how = &options->agent;
    if (how->port && q->address.any.sa_family != AF_UNIX)
        address_set_port(&q->address, (uint16_t)how->port);
    if (how->method == AGENT_TCP)
        return ask_tcp(q);
    question_set_target(q, options, endpoint->text, how->path, "weir-agent");
    return ask_http(q);
}

/* --- what it means */

static void set(struct endpoint *endpoint, uint32_t reason, enum agent_answer answer,
    const char *word, struct slice why)
{
    if (answer == AGENT_SILENT || !endpoint_set_down(endpoint, reason, answer == AGENT_YES))
        return;
    struct slice said = slice_head(why, 48);
    if (answer == AGENT_NO)
        endpoint_note(endpoint, "no longer %s: said by its agent", word);
    else
        endpoint_note(
            endpoint, "%s: said by its agent%s%.*s", word, said.size ? ", " : "", SLICE_ARG(said));
}

static void obey(struct endpoint *endpoint, const struct agent_said *said)
{
    set(endpoint, DOWN_OVERLOADED, said->overloaded, "overloaded", said->why);
    set(endpoint, DOWN_TOLD_OUT, said->out, "drained", said->why);
    set(endpoint, DOWN_TOLD_DOWN, said->down, "down", said->why);
    (void)grade_set_said(endpoint, said->has_share ? said->share : endpoint->grade.said,
        said->has_limit ? said->limit : endpoint->grade.limit);
}

static void forget(struct endpoint *endpoint)
{
    const uint32_t all = DOWN_OVERLOADED | DOWN_TOLD_OUT | DOWN_TOLD_DOWN;
    bool had_grade = grade_set_said(endpoint, 1, 0);
    if (!(endpoint_reasons(endpoint) & all) && !had_grade)
        return;
    (void)endpoint_set_down(endpoint, all, false);
    endpoint_note(endpoint, "its agent is silent: what it said is forgotten");
}

/* Beside words, or in their place. */
static bool take_reports(struct endpoint *endpoint, struct question *q)
{
    const struct service_options *options = endpoint->asked_by;
    struct metrics_shard *shard = endpoint->plane->options.control_shard;
    if (!options->reports.is_on || options->agent.method != AGENT_GET)
        return false;
    return reports_take(endpoint, &options->reports, &q->response.fields, shard) ||
           reports_take(endpoint, &options->reports, &q->trailers, shard);
}

/* CANCELLED: the endpoint may have gone, and the options. */
static enum status ask_once(struct endpoint *endpoint)
{
    struct arena arena;
    struct question q;
    struct agent_said said;
    arena_init(&arena, 0, CHECK_ARENA_MAX);
    question_init(&q, &arena, endpoint, endpoint->asked_by, endpoint->asked_by->agent.timeout);
    enum status e = ask(&q, endpoint);
    bool is_stopped = errand_is_stopped();
    bool has_said = !is_stopped && !e && take_reports(endpoint, &q);
    if (!is_stopped && !e && agent_words_parse(q.body, &said) == OK) {
        has_said = true;
        obey(endpoint, &said);
    }
    if (has_said) {
        endpoint->heard_at = loop_now();
    } else if (!is_stopped &&
               loop_now() - endpoint->heard_at >= endpoint->asked_by->agent.expires) {
        forget(endpoint);
    }
    question_release(&q);
    arena_release(&arena);
    return is_stopped ? CANCELLED : OK;
}

static void plan_next(struct endpoint *endpoint)
{
    int64_t every = endpoint->asked_by->agent.every, most = every / JITTER;
    int64_t moved = (int64_t)random_below(loop_random(), (uint64_t)most * 2 + 1) - most;
    timer_set(&endpoint->agent_timer, loop_now() + every + moved);
}

static void run_question(void *owner)
{
    if (ask_once(owner) == OK)
        plan_next(owner);
}

/* As a check's (check.c): the fiber comes now and goes with the answer. */
static void ask_now(struct timer *timer)
{
    struct endpoint *endpoint = list_entry(timer, struct endpoint, agent_timer);
    errand_start(endpoint->plane->options.control_loop, run_question, endpoint, &endpoint->agent);
    if (!endpoint->agent)
        plan_next(endpoint);
}

void agent_leave(struct endpoint *endpoint)
{
    errand_stop(&endpoint->agent);
    timer_cancel(&endpoint->agent_timer);
    endpoint->asked_by = NULL;
}

void agent_stop(struct endpoint *endpoint)
{
    agent_leave(endpoint);
    (void)grade_set_said(endpoint, 1, 0);
    (void)endpoint_set_down(endpoint, DOWN_OVERLOADED | DOWN_TOLD_OUT | DOWN_TOLD_DOWN, false);
}

void agent_start(struct endpoint *endpoint, const struct service_options *options)
{
    if (!options->agent.is_set) {
        agent_stop(endpoint);
        return;
    }
    endpoint->heard_at = loop_now();
    if (endpoint->asked_by == options)
        return;
    agent_leave(endpoint);
    endpoint->asked_by = options;
    endpoint->agent_timer.fire = ask_now;
    ask_now(&endpoint->agent_timer);
}
