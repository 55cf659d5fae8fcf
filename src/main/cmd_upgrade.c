#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "main/arguments.h"
#include "main/control.h"

#define PATIENCE (90 * SECOND) /* longer than the gateway itself has */

/* The gateway may run in another folder: {"binary": "/absolute/path"}. */
static enum status write_request(struct arena *arena, const char *binary, struct slice *ret_body)
{
    char folder[PATH_MAX] = "";
    bool is_relative = binary[0] != '/' && strchr(binary, '/');
    if (is_relative && !getcwd(folder, sizeof folder))
        return IO_ERROR;
    struct slice path = arena_format(arena, "%s%s%s", folder, is_relative ? "/" : "", binary);
    size_t capacity = 6 * path.size + 32;
    char *data = arena_bytes(arena, capacity);
    if (!path.data || !data)
        return NO_MEMORY;
    struct text text = text_fixed(data, capacity);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_object(&writer);
    json_put_text(&writer, "binary", path);
    json_write_object_end(&writer);
    *ret_body = text_slice(&text);
    return text.failed ? NO_MEMORY : OK;
}

static int show(struct arena *arena, const struct control_answer *answer)
{
    struct json_value *root;
    if (json_parse(arena, answer->body, NULL, &root, NULL)) {
        fprintf(stderr, "weir: the gateway cannot be upgraded: %.*s\n", SLICE_ARG(answer->body));
        return EXIT_FAILED;
    }
    long long process = json_number_of(root, "pid");
    fprintf(stderr, "%.*s", SLICE_ARG(json_text_of(root, "output")));
    if (answer->status == 200)
        fprintf(stderr, "weir: upgraded: process %lld serves, the old one drains\n", process);
    else
        fprintf(stderr, "weir: not upgraded: %.*s; process %lld goes on serving\n",
            SLICE_ARG(json_text_of(root, "error")), process);
    if (answer->status == 200)
        return EXIT_DONE;
    return json_number_of(root, "exit_code") == EXIT_CONFIG ? EXIT_CONFIG : EXIT_FAILED;
}

static int upgrade(struct arena *arena, const char *control, const char *binary, bool json)
{
    struct control_answer answer;
    struct control_question question = {
        .method = "POST", .target = "/v1/upgrade", .patience = PATIENCE};
    enum status e = binary ? write_request(arena, binary, &question.body) : OK;
    if (e) {
        fprintf(stderr, "weir: %s: %s\n", binary, status_sentence(e));
        return EXIT_FAILED;
    }
    int code = control_ask(arena, control, &question, &answer);
    if (code || !json)
        return code ? code : show(arena, &answer);
    printf("%.*s", SLICE_ARG(answer.body));
    return answer.status == 200 ? EXIT_DONE : EXIT_FAILED;
}

static int run(int count, char **words)
{
    const char *control = NULL, *binary = NULL;
    bool json = false;
    const struct argument taken[] = {{.name = "--control", .value = &control},
        {.name = "--binary", .value = &binary}, {.name = "--json", .flag = &json}, {0}};
    int code = arguments_read(&upgrade_command, count, words, taken);
    if (code)
        return code;
    struct arena arena;
    arena_init(&arena, 0, 0);
    code = upgrade(&arena, control, binary, json);
    arena_release(&arena);
    return code;
}

static const char *const options[] = {"--binary", "--control", "--json", NULL};

const struct command upgrade_command = {.name = "upgrade",
    .arguments = "[--binary PATH] [--control SOCKET] [--json]",
    .summary = "Replaces a running gateway by a new process, without losing a connection.",
    .help =
        "The gateway starts PATH, or the program that it was started as, with its own arguments.\n"
        "The new process gets the listening sockets; when it serves, the old one lets its\n"
        "connections end and ends too. If it does not come to serve, the old one goes on.",
    .options = options,
    .run = run};
