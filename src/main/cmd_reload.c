#include <stdio.h>

#include "base/json.h"
#include "main/arguments.h"
#include "main/control.h"

static void print_diagnostic(const struct json_value *one)
{
    struct slice severity = json_text_of(one, "severity"), file = json_text_of(one, "file"),
                 hint = json_text_of(one, "hint");
    if (file.size)
        fprintf(stderr, "%.*s:%lld:%lld: ", SLICE_ARG(file), (long long)json_number_of(one, "line"),
            (long long)json_number_of(one, "column"));
    fprintf(stderr, "%.*s: %.*s", SLICE_ARG(severity.size ? severity : SLICE("error")),
        SLICE_ARG(json_text_of(one, "message")));
    if (hint.size)
        fprintf(stderr, " (%.*s)", SLICE_ARG(hint));
    fputc('\n', stderr);
}

static void print_diagnostics_of(struct arena *arena, struct slice body)
{
    struct json_value *root;
    if (json_parse(arena, body, NULL, &root, NULL)) {
        fprintf(stderr, "%.*s\n", SLICE_ARG(body));
        return;
    }
    json_each (one, json_array_of(root, "diagnostics"))
        print_diagnostic(one);
}

static int reload(struct arena *arena, const char *control, bool json)
{
    struct control_answer answer;
    int code = control_ask(arena, control,
        &(struct control_question){.method = "POST", .target = "/v1/reload"}, &answer);
    if (code)
        return code;
    if (json) {
        printf("%.*s", SLICE_ARG(answer.body));
    } else {
        print_diagnostics_of(arena, answer.body);
        fprintf(stderr, answer.status == 200
                            ? "weir: reloaded\n"
                            : "weir: the configuration was refused; the old one goes on serving\n");
    }
    return answer.status == 200 ? EXIT_DONE : answer.status == 422 ? EXIT_CONFIG : EXIT_FAILED;
}

static int run(int count, char **words)
{
    const char *control = NULL;
    bool json = false;
    const struct argument taken[] = {
        {.name = "--control", .value = &control}, {.name = "--json", .flag = &json}, {0}};
    int code = arguments_read(&reload_command, count, words, taken);
    if (code)
        return code;
    struct arena arena;
    arena_init(&arena, 0, 0);
    code = reload(&arena, control, json);
    arena_release(&arena);
    return code;
}

static const char *const options[] = {"--control", "--json", NULL};

const struct command reload_command = {.name = "reload",
    .arguments = "[--control SOCKET] [--json]",
    .summary = "Makes a running gateway load its configuration again.",
    .help =
        "A configuration with errors is refused with exit code 3, and the old one goes on serving.",
    .options = options,
    .run = run};
