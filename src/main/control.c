#include "main/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/h1.h"
#include "main/command.h"
#include "run/loop.h"
#include "run/socket.h"

#define CALL_TIME  (30 * SECOND)
#define ANSWER_MAX ((size_t)256 << 20)

/* Below /tmp anybody may have made it first, to look at what is said or to answer instead. */
static bool is_ours_alone(const char *folder)
{
    struct stat s;
    if (lstat(folder, &s))
        return true; /* there is none, which whoever uses it will find out */
    return S_ISDIR(s.st_mode) && s.st_uid == geteuid() && !(s.st_mode & (S_IWGRP | S_IWOTH));
}

struct slice control_path(struct arena *arena, const char *wanted, bool make_folder)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (!wanted)
        wanted = getenv("WEIR_CONTROL");
    if (wanted)
        return arena_format(arena, "%s", wanted);
    struct slice folder = SLICE("/run/weir");
    if (geteuid() != 0)
        folder = runtime ? arena_format(arena, "%s/weir", runtime)
                         : arena_format(arena, "/tmp/weir-%u", (unsigned)geteuid());
    if (make_folder && folder.data)
        (void)mkdir(folder.data, 0700); /* if it cannot be made, listening there says so */
    if (folder.data && slice_has_prefix(folder, SLICE("/tmp/")) && !is_ours_alone(folder.data)) {
        fprintf(stderr,
            "weir: no control socket: %s is not a folder of ours that nobody else may write to; "
            "remove it, or choose another place with --control\n",
            folder.data);
        return SLICE_NONE;
    }
    return arena_format(arena, "%.*s/control.sock", SLICE_ARG(folder));
}

static enum status connect_to(struct slice path, instant deadline, struct stream **ret_stream)
{
    char text[sizeof(struct sockaddr_un) + 8];
    struct address address;
    int size = snprintf(text, sizeof text, "unix:%.*s", SLICE_ARG(path));
    if (size < 0 || (size_t)size >= sizeof text)
        return TOO_LARGE;
    enum status e = address_parse(slice_of(text, (size_t)size), &address);
    return e ? e : socket_connect(&address, NULL, deadline, ret_stream);
}

static struct slice request_of(struct arena *arena, const struct control_question *question)
{
    return arena_format(arena,
        "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\nConnection: close\r\n\r\n%.*s",
        question->method, question->target, question->body.size, SLICE_ARG(question->body));
}

static enum status exchange(struct wire *wire, struct arena *arena,
    const struct control_question *question, instant deadline, struct control_answer *ret_answer)
{
    static const struct h1_limits limits = H1_LIMITS_DEFAULT;
    struct http_response response = {0};
    struct h1_framing framing;
    struct h1_body body;
    struct slice request = request_of(arena, question);
    if (!request.data)
        return NO_MEMORY;
    fields_init(&response.fields, arena);
    enum status e = stream_write(wire->stream, request.data, request.size, deadline, NULL);
    if (!e)
        e = h1_read_response(wire, arena, &limits, http_method_of(slice_of_text(question->method)),
            deadline, &response, &framing);
    if (e)
        return e;
    h1_body_init(&body, wire, &limits, &framing, arena, 0);
    e = body_read_all(&body.body, arena, ANSWER_MAX, deadline, &ret_answer->body);
    body_drop(&body.body);
    ret_answer->status = response.status;
    return e;
}

enum status control_call(struct arena *arena, struct slice path,
    const struct control_question *question, struct control_answer *ret_answer)
{
    struct stream *stream;
    struct wire wire;
    instant deadline = loop_now() + (question->patience ? question->patience : CALL_TIME);
    enum status e = connect_to(path, deadline, &stream);
    if (e)
        return e;
    wire_init(&wire, stream);
    e = exchange(&wire, arena, question, deadline, ret_answer);
    if (!e && question->ret_descriptor) {
        int copy = fcntl(socket_descriptor(wire.stream), F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
            e = IO_ERROR;
        else
            *question->ret_descriptor = copy;
    }
    wire_release(&wire);
    return e;
}

struct ask {
    struct arena *arena;
    struct slice path;
    const struct control_question *question;
    struct control_answer *answer;
    enum status result;
};

static void ask_on_fiber(void *argument)
{
    struct ask *ask = argument;
    ask->result = control_call(ask->arena, ask->path, ask->question, ask->answer);
}

int control_ask(struct arena *arena, const char *wanted, const struct control_question *question,
    struct control_answer *ret_answer)
{
    struct ask ask = {.arena = arena,
        .path = control_path(arena, wanted, false),
        .question = question,
        .answer = ret_answer};
    if (!ask.path.data)
        return EXIT_FAILED;
    enum status e = loop_run_main(NULL, ask_on_fiber, &ask);
    if (!e)
        e = ask.result;
    if (!e)
        return EXIT_DONE;
    fprintf(
        stderr, "weir: no gateway answers on %.*s: %s\n", SLICE_ARG(ask.path), status_sentence(e));
    return EXIT_FAILED;
}
