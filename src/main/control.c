#include "main/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "http/fetch.h"
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

static enum status place_of(struct arena *arena, struct slice path, struct fetch_place *ret_place)
{
    const char *problem;
    struct slice url = arena_format(arena, "unix:%.*s", SLICE_ARG(path));
    return url.data ? fetch_place_parse(arena, url, ret_place, &problem) : NO_MEMORY;
}

/* The caller's own, which outlives the fetch. */
static enum status copy_descriptor(const struct fetch *fetch, int *ret_descriptor)
{
    int copy = fcntl(socket_descriptor(fetch->wire.stream), F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return IO_ERROR;
    *ret_descriptor = copy;
    return OK;
}

enum status control_call(struct arena *arena, struct slice path,
    const struct control_question *question, struct control_answer *ret_answer)
{
    static const struct fetch_field close = {"Connection", SLICE_INIT("close")};
    const struct fetch_question asked = {.method = question->method,
        .target = slice_of_text(question->target),
        .fields = &close,
        .field_count = 1,
        .type = SLICE("application/json"),
        .body = question->body.data ? question->body : SLICE("")};
    struct fetch_place place;
    struct fetch fetch;
    instant deadline = loop_now() + (question->patience ? question->patience : CALL_TIME);
    enum status e = place_of(arena, path, &place);
    if (e)
        return e;
    fetch_init(&fetch, &place, NULL, NULL);
    e = fetch_ask(&fetch, &asked, arena, deadline);
    if (!e)
        e = fetch_read_all(&fetch, ANSWER_MAX, deadline, &ret_answer->body);
    if (!e) {
        ret_answer->status = fetch.response.status;
        if (question->ret_descriptor)
            e = copy_descriptor(&fetch, question->ret_descriptor);
    }
    fetch_close(&fetch);
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

void control_complain(struct arena *arena, struct slice problem)
{
    struct json_value *root = NULL;
    struct slice detail = problem;
    if (json_parse(arena, problem, NULL, &root, NULL) == OK)
        (void)json_get_text(root, SLICE("detail"), &detail);
    fprintf(stderr, "weir: %.*s\n", SLICE_ARG(detail));
}
