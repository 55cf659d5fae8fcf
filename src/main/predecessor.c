#include "main/predecessor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "main/control.h"
#include "main/spawn.h"
#include "run/link.h"
#include "run/loop.h"

#define ANSWER_TIME (30 * SECOND) /* the predecessor answers at once, unless it is in trouble */

struct predecessor {
    struct link link;
    pid_t process;
    uint64_t upgrades;
    struct scope scope; /* the fiber that waits for its end */
    void (*gone)(void *argument);
    void *argument;
};

static pid_t peer_of(int descriptor)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) ? 0 : peer.pid;
}

/* The connection becomes the link. */
static enum status ask(struct slice control, struct predecessor *predecessor)
{
    struct arena arena;
    struct control_answer answer = {0};
    int descriptor = -1;
    arena_init(&arena, 0, 0);
    enum status e = control_call(&arena, control,
        &(struct control_question){
            .method = "POST", .target = "/v1/hand-over", .ret_descriptor = &descriptor},
        &answer);
    struct slice body = slice_trim(answer.body);
    while (body.size && body.data[body.size - 1] == '\n')
        body.size--;
    if (!e)
        link_init(&predecessor->link, descriptor);
    if (!e && (answer.status != 200 || !slice_to_u64(body, &predecessor->upgrades)))
        e = REFUSED;
    if (e)
        fprintf(stderr, "weir: the gateway on %.*s hands nothing over: %.*s\n", SLICE_ARG(control),
            SLICE_ARG(body.size ? body : slice_of_text(status_sentence(e))));
    else
        predecessor->process = peer_of(descriptor);
    arena_release(&arena);
    return e;
}

/* The bytes come in a message of their own. */
static enum status receive_note(struct predecessor *predecessor, struct inheritance *inheritance,
    struct slice name, instant deadline)
{
    char room[64];
    struct text kept = text_fixed(room, sizeof room);
    struct slice bytes;
    int descriptor = -1;
    text_add(&kept, name);
    enum status e = link_receive(&predecessor->link, deadline, &bytes, &descriptor);
    if (descriptor >= 0)
        close(descriptor);
    return e ? e : inheritance_note(inheritance, text_slice(&kept), bytes);
}

static enum status receive_socket(
    struct inheritance *inheritance, struct slice message, int descriptor)
{
    static const struct slice own = {"socket own ", 11}, managed = {"socket managed ", 15};
    bool is_managed = slice_has_prefix(message, managed);
    if (!is_managed && !slice_has_prefix(message, own)) {
        close(descriptor);
        return INVALID;
    }
    return inheritance_add(inheritance, slice_from(message, is_managed ? managed.size : own.size),
        is_managed, descriptor);
}

/* Until "end". Messages that a later version may add are passed over. */
static enum status receive_sockets(
    struct predecessor *predecessor, struct inheritance *inheritance, instant deadline)
{
    static const struct slice note = {"note ", 5};
    struct slice message;
    int descriptor;
    for (;;) {
        enum status e = link_receive(&predecessor->link, deadline, &message, &descriptor);
        if (!e && descriptor >= 0)
            e = receive_socket(inheritance, message, descriptor);
        else if (!e && slice_has_prefix(message, note))
            e = receive_note(predecessor, inheritance, slice_from(message, note.size), deadline);
        else if (!e && slice_equal(message, SLICE("end")))
            return OK;
        if (e)
            return e;
    }
}

enum status predecessor_meet(
    struct slice control, struct inheritance *inheritance, struct predecessor **ret_predecessor)
{
    *ret_predecessor = NULL;
    if (!getenv(SPAWN_VARIABLE))
        return OK;
    unsetenv(SPAWN_VARIABLE);
    struct predecessor *predecessor = calloc(1, sizeof *predecessor);
    if (!predecessor)
        return NO_MEMORY;
    instant deadline = loop_now() + ANSWER_TIME;
    link_init(&predecessor->link, -1);
    scope_init(&predecessor->scope);
    enum status e = ask(control, predecessor);
    if (!e)
        e = link_send(&predecessor->link, SLICE("go"), -1, deadline);
    if (!e)
        e = receive_sockets(predecessor, inheritance, deadline);
    if (e) {
        predecessor_free(predecessor);
        return e;
    }
    *ret_predecessor = predecessor;
    return OK;
}

/* Until now it was a pipe to the predecessor. */
static void take_stderr(void)
{
    if (dup2(SPAWN_STDERR, STDERR_FILENO) >= 0)
        close(SPAWN_STDERR);
}

static enum status tell_taken(
    struct predecessor *predecessor, const struct inheritance *inheritance, instant deadline)
{
    char line[32];
    enum status e = OK;
    for (size_t i = 0; !e && i < inheritance_count(inheritance); i++) {
        if (!inheritance_at(inheritance, i)->is_taken)
            continue;
        int size = snprintf(line, sizeof line, "took %zu", i);
        e = link_send(&predecessor->link, slice_of(line, (size_t)size), -1, deadline);
    }
    return e ? e : link_send(&predecessor->link, SLICE("ready"), -1, deadline);
}

/* It says nothing more: what comes is its end. */
static void wait_for_end(void *argument)
{
    struct predecessor *predecessor = argument;
    struct slice message;
    int descriptor = -1;
    enum status e = OK;
    while (!e) {
        e = link_receive(&predecessor->link, NEVER, &message, &descriptor);
        if (!e && descriptor >= 0)
            close(descriptor);
    }
    if (e == CANCELLED)
        return;
    predecessor->process = 0;
    predecessor->gone(predecessor->argument);
}

void predecessor_relieve(struct predecessor *predecessor, struct inheritance *inheritance,
    void (*gone)(void *argument), void *argument)
{
    if (!predecessor)
        return;
    instant deadline = loop_now() + ANSWER_TIME;
    struct slice message;
    int descriptor = -1;
    predecessor->gone = gone;
    predecessor->argument = argument;
    take_stderr();
    /* Whatever becomes of it from here on, this process serves. */
    enum status e = tell_taken(predecessor, inheritance, deadline);
    if (!e)
        e = link_receive(&predecessor->link, deadline, &message, &descriptor);
    if (descriptor >= 0)
        close(descriptor);
    if (e)
        fprintf(stderr, "weir: the process that was replaced did not take leave: %s\n",
            status_sentence(e));
    inheritance_close_rest(inheritance);
    (void)scope_start(&predecessor->scope, wait_for_end, predecessor);
}

pid_t predecessor_process(const struct predecessor *predecessor)
{
    return predecessor ? predecessor->process : 0;
}

uint64_t predecessor_upgrades(const struct predecessor *predecessor)
{
    return predecessor ? predecessor->upgrades : 0;
}

void predecessor_free(struct predecessor *predecessor)
{
    if (!predecessor)
        return;
    scope_end(&predecessor->scope);
    link_release(&predecessor->link);
    free(predecessor);
}
