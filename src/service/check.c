#include "service/check.h"

#include "run/loop.h"
#include "service/agent.h"
#include "service/check_command.h"
#include "service/check_question.h"
#include "service/errand.h"
#include "service/service_tls.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SPREAD_EACH  MILLISECOND /* between the first checks of endpoints that come together */
#define WHAT_MAX     80          /* of what was wrong, in the history */

#define TICKET_LEAST (5 * MILLISECOND)

/* --- one check */

/* In TLS 1.3 what resumes a session, and does so once, comes behind the handshake, half as long as
 * that takes later. */
static void wait_for_ticket(const struct question *q, struct stream *stream, instant began)
{
    struct tls_facts facts;
    if (!q->session || !tls_facts(stream, &facts) || strcmp(facts.version, "TLSv1.3") != 0)
        return;
    int64_t pause = 2 * (loop_now() - began);
    if (pause < TICKET_LEAST)
        pause = TICKET_LEAST;
    (void)stream_wait_readable(stream, clock_sooner(loop_now() + pause, q->deadline));
}

/* Whether there can be a connection, and a handshake if TLS is spoken, is all that is asked. */
static enum status ask_connection(struct question *q)
{
    struct stream *stream;
    instant began = loop_now();
    enum status e = question_connect(q, &stream);
    if (e)
        return e;
    wait_for_ticket(q, stream, began);
    stream_close(stream);
    return OK;
}

static enum status ask(struct question *q, struct command_gate *gate)
{
    switch ((enum health_method)q->method) {
    case HEALTH_UDP:
        return check_ask_udp(q);
    case HEALTH_COMMAND:
        return check_ask_command(q, gate);
    case HEALTH_TCP:
    case HEALTH_TLS:
        return ask_connection(q);
    case HEALTH_GET:
    case HEALTH_HEAD:
    case HEALTH_GRPC:
        return check_ask_http(q);
    }
    return INVALID;
}

/* A failure in the words of a history. */
static const char *words_of(enum status e)
{
    switch ((int)e) {
    case UPSTREAM_REFUSED:
        return "connection refused";
    case UPSTREAM_UNREACHABLE:
        return "unreachable";
    case UPSTREAM_CONNECT_TIMEOUT:
        return "no connection in time";
    case TIMEOUT:
        return "no answer in time";
    case END:
    case CLOSED:
    case INCOMPLETE:
    case UPSTREAM_CLOSED:
        return "connection closed";
    case INVALID:
        return "it cannot be asked";
    default:
        return status_word(e);
    }
}

/* The first line that a command has written, of what can be shown. */
static void add_output(struct text *what, struct slice output)
{
    struct slice line = slice_trim(slice_head(output, slice_find(output, '\n')));
    if (line.size == 0)
        return;
    text_add_literal(what, ": ");
    for (size_t i = 0; i < line.size && what->size < WHAT_MAX; i++)
        text_add_char(what, iscntrl((unsigned char)line.data[i]) ? ' ' : line.data[i]);
}

/* True when the answer is good; else `what` is wrong. */
static bool judge(const struct question *q, const struct health_options *how, struct text *what)
{
    if (q->failure) {
        text_add(what, slice_of_text(words_of(q->failure)));
        if (*q->trouble)
            text_format(what, ", %.*s", SLICE_ARG(slice_head(slice_of_text(q->trouble), 48)));
        return false;
    }
    if (q->method == HEALTH_COMMAND && q->exit_code) {
        text_format(what, "exit code %d", q->exit_code);
        add_output(what, q->body);
        return false;
    }
    return !health_is_http(q->method) || check_is_expected(q, how, what);
}

/* --- the verdict */

/* A good answer also ends an ejection: who answers is there. */
static void count_good(struct endpoint *endpoint, const struct health_options *how)
{
    endpoint->bad = 0;
    if (endpoint->good < how->rise)
        endpoint->good++;
    if (endpoint->good < how->rise)
        return;
    atomic_store_explicit(&endpoint->load.failures_in_row, 0, memory_order_relaxed);
    bool was_down = endpoint_set_down(endpoint, DOWN_CHECK, false);
    bool was_ejected = endpoint_set_down(endpoint, DOWN_EJECTED, false);
    if (was_down || was_ejected)
        endpoint_note(endpoint, "up: %u good answers", (unsigned)how->rise);
}

static void count_bad(struct endpoint *endpoint, const struct health_options *how, struct text what)
{
    endpoint->good = 0;
    if (endpoint->bad < how->fall)
        endpoint->bad++;
    if (endpoint->bad >= how->fall && endpoint_set_down(endpoint, DOWN_CHECK, true))
        endpoint_note(endpoint, "down: %u × %.*s", endpoint->bad, SLICE_ARG(text_slice(&what)));
}

/* The answer is neither when we could not ask. */
static bool is_our_own_failure(enum status e)
{
    return e == NO_MEMORY || e == OVERLOADED || e == CANCELLED;
}

/* --- when */

static bool is_in_doubt(const struct endpoint *endpoint)
{
    return endpoint_reasons(endpoint) & DOWN_CHECK ? endpoint->good > 0 : endpoint->bad > 0;
}

static int64_t jittered(int64_t time, double jitter)
{
    int64_t most = (int64_t)((double)time * jitter);
    return time - most + (int64_t)random_below(loop_random(), (uint64_t)most * 2 + 1);
}

static int64_t pause_of(const struct endpoint *endpoint, const struct health_options *how)
{
    if (!is_in_doubt(endpoint))
        return jittered(how->every, how->jitter);
    return jittered(how->failing ? how->failing : how->every / 5, how->jitter);
}

/* True when clients have not asked it anything for so long that it need not be checked now, or an
 * operator works on it. */
static bool may_rest(struct endpoint *endpoint, const struct health_options *how)
{
    uint64_t requests = atomic_load_explicit(&endpoint->load.requests, memory_order_relaxed);
    if (requests != endpoint->seen_requests || !endpoint->seen_at)
        endpoint->seen_at = loop_now();
    endpoint->seen_requests = requests;
    bool is_idle = how->idle > how->every && loop_now() - endpoint->seen_at >= how->idle;
    bool is_due = loop_now() - endpoint->checked_at >= how->idle;
    uint32_t reasons = endpoint_reasons(endpoint);
    return reasons & DOWN_MAINTENANCE ||
           (is_idle && !is_due && !is_in_doubt(endpoint) && !(reasons & DOWN_CHECK));
}

/* --- the errand */

static enum status prepare(struct question *q, const struct endpoint *endpoint)
{
    const struct service_options *options = endpoint->checked_by;
    const struct health_options *how = &options->health;
    if (how->method == HEALTH_COMMAND)
        return check_command_prepare(q, how, endpoint);
    question_set_target(q, options, endpoint->text, how->path, "weir-health");
    return OK;
}

/* CANCELLED: the endpoint may have gone, and the options. */
static enum status check_once(struct endpoint *endpoint, struct tls_session *session)
{
    struct arena arena;
    struct question q;
    char room[WHAT_MAX + 160];
    struct text what = text_fixed(room, sizeof room);
    const struct health_options *how = &endpoint->checked_by->health;
    endpoint->checked_at = loop_now();
    arena_init(&arena, 0, CHECK_ARENA_MAX);
    question_init(&q, &arena, endpoint, endpoint->checked_by, how->timeout);
    q.method = how->method;
    q.session = session;
    q.failure = prepare(&q, endpoint);
    if (!q.failure)
        q.failure = ask(&q, endpoint->plane->commands);
    bool is_stopped = errand_is_stopped();
    if (!is_stopped && !is_our_own_failure(q.failure)) {
        bool is_good = judge(&q, how, &what);
        atomic_fetch_add_explicit(
            is_good ? &endpoint->good_checks : &endpoint->bad_checks, 1, memory_order_relaxed);
        if (is_good)
            count_good(endpoint, how);
        else
            count_bad(endpoint, how, what);
    }
    question_release(&q);
    arena_release(&arena);
    return is_stopped ? CANCELLED : OK;
}

/* An answer that contradicts the verdict brings the next question forward. */
static void plan_next(struct endpoint *endpoint)
{
    endpoint->check_due = endpoint->checked_at + pause_of(endpoint, &endpoint->checked_by->health);
    timer_set(&endpoint->check_timer, endpoint->check_due);
}

/* The session is the errand's while it runs: the endpoint may go. */
static void run_check(void *owner)
{
    struct endpoint *endpoint = owner;
    struct tls_session session = endpoint->check_session;
    endpoint->check_session = (struct tls_session){0};
    if (check_once(endpoint, &session) == OK) {
        endpoint->check_session = session;
        plan_next(endpoint);
    } else {
        tls_session_release(&session);
    }
}

/* The fiber comes now and goes with the answer. Without memory for one it is tried again when the
 * endpoint is due next. */
static void check_is_due(struct timer *timer)
{
    struct endpoint *endpoint = list_entry(timer, struct endpoint, check_timer);
    const struct health_options *how = &endpoint->checked_by->health;
    endpoint->check_due = loop_now() + pause_of(endpoint, how);
    if (!may_rest(endpoint, how))
        errand_start(endpoint->plane->options.control_loop, run_check, endpoint, &endpoint->check);
    if (!endpoint->check)
        timer_set(timer, endpoint->check_due);
}

/* Those that come together are not all asked at the same moment. */
static instant first_time(struct service_plane *plane)
{
    uint64_t endpoints = atomic_load_explicit(&plane->endpoint_count, memory_order_relaxed);
    return loop_now() + (int64_t)random_below(loop_random(), endpoints * SPREAD_EACH + 1);
}

void check_stop(struct endpoint *endpoint)
{
    errand_stop(&endpoint->check);
    timer_cancel(&endpoint->check_timer);
    endpoint->checked_by = NULL;
}

static void forget_check(struct endpoint *endpoint)
{
    check_stop(endpoint);
    endpoint->good = endpoint->bad = 0;
    endpoint->check_due = 0;
    if (endpoint_set_down(endpoint, DOWN_CHECK, false))
        endpoint_note(endpoint, "up: no longer checked");
}

/* Other options begin a new errand: what the old one has of them may go. It goes on where that
 * stood. */
static void start_check(struct endpoint *endpoint, const struct service_options *options)
{
    if (endpoint->checked_by != options)
        errand_stop(&endpoint->check);
    instant latest = loop_now() + options->health.every;
    if (!endpoint->check_due || endpoint->check_due > latest)
        endpoint->check_due = clock_sooner(first_time(endpoint->plane), latest);
    endpoint->checked_by = options;
    endpoint->check_timer.fire = check_is_due;
    if (!endpoint->check)
        timer_set(&endpoint->check_timer, endpoint->check_due);
}

void checks_start(const struct endpoint_set *set, const struct service_options *options)
{
    for (uint32_t i = 0; i < set->count; i++) {
        agent_start(set->endpoints[i], options);
        if (options->health.is_set)
            start_check(set->endpoints[i], options);
        else
            forget_check(set->endpoints[i]);
    }
}

void checks_stop(const struct endpoint_set *set, const struct service_options *options)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->endpoints[i]->checked_by == options)
            forget_check(set->endpoints[i]);
        if (set->endpoints[i]->asked_by == options)
            agent_stop(set->endpoints[i]);
    }
}
