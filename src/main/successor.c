#include "main/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "main/spawn.h"
#include "run/descriptor.h"
#include "run/link.h"
#include "run/loop.h"
#include "run/socket.h"
#include "run/wait.h"

#define START_TIME   (60 * SECOND) /* for the new program to serve */
#define END_TIME     (2 * SECOND)  /* for one that failed to end and to say its last words */
#define REQUEST_MAX  8192
#define OUTPUT_SHOWN ((size_t)64 << 10) /* of what it wrote to stderr, for who asked */

enum stage { IDLE, STARTING, HANDING, READY, FAILED, REPLACED };

struct successor {
    struct successor_owner owner;
    enum stage stage;
    bool is_called_off;
    struct spawned spawned;
    bool has_ended;
    struct spawn_end end;
    struct text output; /* owned: what it wrote to stderr */
    bool is_output_over;
    struct link link;          /* once it asked for the sockets */
    pid_t peer;                /* who asked */
    struct inheritance *offer; /* owned: what it was given */
    struct scope scope;        /* the fibers of one upgrade */
    struct wait_queue changed; /* stage, has_ended, is_output_over, is_called_off */
};

enum status successor_new(const struct successor_owner *owner, struct successor **ret_successor)
{
    struct successor *successor = calloc(1, sizeof *successor);
    if (!successor)
        return NO_MEMORY;
    successor->owner = *owner;
    successor->spawned = (struct spawned){.output = -1, .reports = -1};
    link_init(&successor->link, -1);
    scope_init(&successor->scope);
    wait_queue_init(&successor->changed);
    *ret_successor = successor;
    return OK;
}

static void change(struct successor *successor)
{
    wait_queue_wake_all(&successor->changed);
}

/* What the new program says on stderr goes to ours as it comes, and is kept. */
static void read_output(void *argument)
{
    struct successor *successor = argument;
    char block[4096];
    while (!descriptor_wait_readable(successor->spawned.output, NEVER)) {
        ssize_t size = read(successor->spawned.output, block, sizeof block);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (size <= 0)
            break;
        fwrite(block, 1, (size_t)size, stderr);
        text_add(&successor->output, slice_of(block, (size_t)size));
    }
    successor->is_output_over = true;
    change(successor);
}

static void watch_end(void *argument)
{
    struct successor *successor = argument;
    if (spawn_wait(&successor->spawned, NEVER, &successor->end))
        return;
    successor->has_ended = true;
    change(successor);
}

/* The conversation over the link. */

static enum status send_notes(struct successor *successor, instant deadline)
{
    char line[LINK_MESSAGE_MAX];
    const struct inherited_note *note;
    enum status e = OK;
    for (size_t i = 0; !e && (note = inheritance_note_at(successor->offer, i)); i++) {
        struct text text = text_fixed(line, sizeof line);
        text_add_literal(&text, "note ");
        text_add(&text, note->name);
        e = text.failed ? TOO_LARGE : link_send(&successor->link, text_slice(&text), -1, deadline);
        if (!e)
            e = link_send(&successor->link, note->bytes, -1, deadline);
    }
    return e;
}

static enum status send_sockets(struct successor *successor, instant deadline)
{
    char line[LINK_MESSAGE_MAX];
    enum status e = OK;
    for (size_t i = 0; !e && i < inheritance_count(successor->offer); i++) {
        const struct inherited *item = inheritance_at(successor->offer, i);
        struct text text = text_fixed(line, sizeof line);
        text_add(&text, item->is_managed ? SLICE("socket managed ") : SLICE("socket own "));
        text_add(&text, item->name);
        e = text.failed
                ? TOO_LARGE
                : link_send(&successor->link, text_slice(&text), item->descriptor, deadline);
    }
    if (!e)
        e = send_notes(successor, deadline);
    return e ? e : link_send(&successor->link, SLICE("end"), -1, deadline);
}

static enum status receive(struct successor *successor, instant deadline, struct slice *ret_message)
{
    int descriptor;
    enum status e = link_receive(&successor->link, deadline, ret_message, &descriptor);
    if (!e && descriptor >= 0)
        close(descriptor); /* nothing is handed back */
    return e;
}

static enum status receive_taken(struct successor *successor, instant deadline)
{
    static const struct slice took = {"took ", 5};
    struct slice message;
    uint64_t index;
    for (;;) {
        enum status e = receive(successor, deadline, &message);
        if (e)
            return e;
        if (slice_equal(message, SLICE("ready")))
            return OK;
        if (!slice_has_prefix(message, took) ||
            !slice_to_u64(slice_from(message, took.size), &index) ||
            index >= inheritance_count(successor->offer))
            return INVALID;
        inheritance_mark_taken(successor->offer, index);
    }
}

static void converse(void *argument)
{
    struct successor *successor = argument;
    instant deadline = loop_now() + START_TIME;
    struct slice message;
    enum status e = receive(successor, deadline, &message);
    if (!e && !slice_equal(message, SLICE("go")))
        e = INVALID;
    if (!e)
        e = inheritance_new(&successor->offer);
    if (!e)
        e = successor->owner.offer(successor->owner.argument, successor->offer);
    if (!e)
        e = send_sockets(successor, deadline);
    if (!e)
        e = receive_taken(successor, deadline);
    successor->stage = e ? FAILED : READY;
    change(successor);
}

/* POST /v1/hand-over */

static enum status refuse(struct exchange *x, int status, const char *why)
{
    return exchange_respond(x, status, SLICE("text/plain"), slice_of_text(why));
}

/* Whoever may open the control socket could ask: only the same user and root are given anything. */
static bool is_trusted(int descriptor, pid_t *ret_pid)
{
    struct socket_peer peer;
    if (!socket_peer(descriptor, &peer))
        return false;
    *ret_pid = (pid_t)peer.process;
    return peer.user == 0 || peer.user == geteuid();
}

enum status successor_hand_over(void *argument, struct exchange *x)
{
    struct successor *successor = argument;
    struct stream *stream = x->hooks->stream ? x->hooks->stream(x) : NULL;
    int descriptor = stream ? socket_descriptor(stream) : -1;
    if (successor->stage != STARTING)
        return refuse(x, 409, "no upgrade waits for its new program\n");
    if (descriptor < 0 || !is_trusted(descriptor, &successor->peer))
        return refuse(x, 403, "sockets are handed to the same user and to root\n");
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return NO_MEMORY;
    link_init(&successor->link, copy);
    if (scope_start(&successor->scope, converse, successor)) {
        link_release(&successor->link);
        return NO_MEMORY;
    }
    successor->stage = HANDING;
    x->must_close = true; /* this end; the copy goes on as a link */
    struct slice body =
        arena_format(&x->arena, "%llu\n", (unsigned long long)successor->owner.upgrades + 1);
    return body.data ? exchange_respond(x, 200, SLICE("text/plain"), body) : NO_MEMORY;
}

/* POST /v1/upgrade */

static enum status read_request(struct exchange *x, const char **ret_binary)
{
    struct slice body, binary;
    struct json_value *root;
    enum status e = body_read_all(x->request.body, &x->arena, REQUEST_MAX, x->deadline, &body);
    *ret_binary = NULL;
    if (e || !body.size)
        return e;
    if (json_parse(&x->arena, body, NULL, &root, NULL))
        return INVALID;
    if (!json_get_text(root, SLICE("binary"), &binary))
        return OK;
    *ret_binary = arena_text(&x->arena, binary);
    return *ret_binary ? OK : NO_MEMORY;
}

static const char *refusal(const struct successor *successor)
{
    if (successor->is_called_off || successor->stage == REPLACED)
        return "the gateway is stopping";
    if (successor->stage != IDLE)
        return "an upgrade is under way already";
    if (getpid() == 1)
        return "the gateway is process 1, whose end would be the container's: replace that";
    return NULL;
}

static enum status begin(struct successor *successor, const char *binary)
{
    enum status e = spawn_start(binary, &successor->spawned);
    if (e)
        return e;
    successor->stage = STARTING;
    successor->has_ended = successor->is_output_over = false;
    successor->output = text_growing(OUTPUT_SHOWN);
    scope_init(&successor->scope);
    e = scope_start(&successor->scope, read_output, successor);
    return e ? e : scope_start(&successor->scope, watch_end, successor);
}

/* One whose link breaks has most likely died, and how is about to be known. */
static void wait_for_its_end(struct successor *successor)
{
    instant deadline = loop_now() + SECOND / 4;
    fiber_shield();
    while (successor->stage == FAILED && !successor->has_ended)
        if (wait_queue_wait(&successor->changed, deadline))
            break;
    fiber_unshield();
}

/* Until it serves or will not. */
static enum status wait_until_ready(struct successor *successor)
{
    instant deadline = loop_now() + START_TIME;
    enum status e = OK;
    while (!e && successor->stage != READY && successor->stage != FAILED && !successor->has_ended &&
           !successor->is_called_off)
        e = wait_queue_wait(&successor->changed, deadline);
    return e;
}

/* Ends what failed, and hears its last words. */
static void put_down(struct successor *successor)
{
    fiber_shield();
    instant deadline = loop_now() + END_TIME;
    if (!successor->has_ended)
        spawn_signal(&successor->spawned, SIGTERM);
    while (!successor->has_ended || !successor->is_output_over)
        if (wait_queue_wait(&successor->changed, deadline))
            break;
    if (!successor->has_ended)
        spawn_signal(&successor->spawned, SIGKILL);
    fiber_unshield();
}

static void clean_up(struct successor *successor)
{
    scope_end(&successor->scope);
    spawn_let_go(&successor->spawned);
    link_release(&successor->link);
    text_release(&successor->output);
    inheritance_free(successor->offer);
    successor->offer = NULL;
    if (successor->stage != REPLACED)
        successor->stage = IDLE;
}

/* From here on the other is the gateway. */
static void give_way(struct successor *successor)
{
    fiber_shield();
    pid_t pid = successor->peer;
    successor->stage = REPLACED;
    scope_end(&successor->scope);
    spawn_let_go(&successor->spawned);
    successor->owner.let_go(successor->owner.argument, successor->offer, pid);
    (void)link_send(&successor->link, SLICE("done"), -1, loop_now() + SECOND);
    fiber_unshield();
}

/* Why it does not serve, in a sentence's beginning. */
static struct slice failure(const struct successor *successor, enum status e, struct arena *arena)
{
    if (e == TIMEOUT)
        return arena_format(
            arena, "the new program did not serve within %lld s", (long long)(START_TIME / SECOND));
    if (successor->is_called_off || e == CANCELLED)
        return SLICE("the upgrade was called off");
    if (successor->has_ended && successor->end.error)
        return arena_format(
            arena, "the new program cannot be executed: %s", strerror(successor->end.error));
    if (successor->has_ended && successor->end.code > 128)
        return arena_format(
            arena, "the new program was killed by signal %d", successor->end.code - 128);
    if (successor->has_ended)
        return arena_format(arena, "the new program ended with exit code %d", successor->end.code);
    return SLICE("the new program does not know how to take over");
}

static enum status respond(
    struct exchange *x, int status, const struct successor *successor, struct slice error)
{
    char *data = arena_bytes(&x->arena, 2 * OUTPUT_SHOWN);
    struct text text = text_fixed(data, data ? 2 * OUTPUT_SHOWN : 0);
    struct json_writer writer;
    json_writer_init(&writer, &text, 2);
    json_write_object(&writer);
    json_put_bool(&writer, "ok", !error.size);
    json_put_i64(&writer, "pid", error.size ? getpid() : successor->peer);
    if (error.size) {
        json_put_text(&writer, "error", error);
        json_put_i64(&writer, "exit_code", successor->has_ended ? successor->end.code : 0);
        json_put_text(&writer, "output", text_slice(&successor->output));
    }
    json_write_object_end(&writer);
    text_add_char(&text, '\n');
    return text.failed ? NO_MEMORY
                       : exchange_respond(x, status, SLICE("application/json"), text_slice(&text));
}

static void say_failure(struct slice error)
{
    fprintf(stderr, "weir: upgrade: %.*s; the old process goes on serving\n", SLICE_ARG(error));
}

static enum status start_error(struct exchange *x, struct successor *successor, enum status e)
{
    struct slice error = e == NOT_FOUND ? SLICE("there is no such program")
                                        : arena_format(&x->arena, "no process could be started: %s",
                                              status_sentence(e));
    clean_up(successor);
    return respond(x, 422, successor, error);
}

static enum status run_upgrade(struct successor *successor, struct exchange *x)
{
    enum status e = wait_until_ready(successor);
    if (!e && successor->stage == READY && !successor->has_ended && !successor->is_called_off) {
        give_way(successor);
        successor->owner.replaced(successor->owner.argument);
        return respond(x, 200, successor, SLICE_NONE);
    }
    wait_for_its_end(successor);
    struct slice error = failure(successor, e, &x->arena);
    put_down(successor);
    say_failure(error);
    enum status result = respond(x, 422, successor, error);
    clean_up(successor);
    return result;
}

enum status successor_upgrade(void *argument, struct exchange *x)
{
    struct successor *successor = argument;
    const char *binary;
    enum status e = read_request(x, &binary);
    if (e)
        return e == INVALID ? refuse(x, 400, "the body is not JSON\n") : e;
    const char *why = refusal(successor);
    if (why)
        return respond(x, 409, &(struct successor){.stage = IDLE}, slice_of_text(why));
    e = begin(successor, binary);
    return e ? start_error(x, successor, e) : run_upgrade(successor, x);
}

void successor_call_off(struct successor *successor)
{
    if (!successor)
        return;
    fiber_shield();
    successor->is_called_off = true;
    change(successor);
    while (successor->stage != IDLE && successor->stage != REPLACED)
        (void)fiber_sleep_until(loop_now() + MILLISECOND); /* the one who asks cleans up */
    fiber_unshield();
}

void successor_free(struct successor *successor)
{
    if (!successor)
        return;
    clean_up(successor);
    free(successor);
}
