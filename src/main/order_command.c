#include "main/order_command.h"

#include <stdio.h>

#include "base/json.h"
#include "main/arguments.h"
#include "main/control.h"

const char *const order_command_options[] = {"--control", "--json", NULL};

static struct slice question_of(
    struct arena *arena, const char *service, const char *endpoint, const char *state)
{
    struct text text = text_growing(0);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_object(&writer);
    json_put_text(&writer, "service", slice_of_text(service));
    json_put_text(&writer, "endpoint", slice_of_text(endpoint));
    json_put_text(&writer, "state", slice_of_text(state));
    json_write_object_end(&writer);
    struct slice body = text.failed ? SLICE_NONE : arena_copy(arena, text_slice(&text));
    text_release(&text);
    return body;
}

static int tell(struct arena *arena, const char *control, struct slice body, bool json)
{
    struct control_answer answer;
    int code = control_ask(arena, control,
        &(struct control_question){.method = "POST", .target = "/v1/endpoints", .body = body},
        &answer);
    if (code)
        return code;
    if (json)
        printf("%.*s", SLICE_ARG(answer.body));
    else if (answer.status != 200)
        control_complain(arena, answer.body);
    return answer.status == 200 ? EXIT_DONE : EXIT_FAILED;
}

int order_command_run(const struct command *command, const char *state, int count, char **words)
{
    const char *control = NULL, *service = NULL, *endpoint = NULL;
    bool json = false;
    const struct argument taken[] = {{.value = &service}, {.value = &endpoint},
        {.name = "--control", .value = &control}, {.name = "--json", .flag = &json}, {0}};
    int code = arguments_read(command, count, words, taken);
    if (code)
        return code;
    if (!service || !endpoint)
        return command_usage(command, "needs a service and one of its endpoints");
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct slice body = question_of(&arena, service, endpoint, state);
    code = body.data ? tell(&arena, control, body, json) : EXIT_FAILED;
    arena_release(&arena);
    return code;
}
