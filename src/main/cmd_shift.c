/* `weir shift SERVICE VERSION SHARE`: blue/green, a canary's next step, and back. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "main/arguments.h"
#include "main/control.h"

#define PAIRS_MAX 16

struct shift_arguments {
    const char *service, *control, *by;
    const char *pairs[2 * PAIRS_MAX]; /* a version and its share, in turn */
    bool is_reset, json;
};

/* Who asks, as well as we know: the gateway adds what the kernel says. */
static const char *who_we_are(void)
{
    const char *name = getenv("SUDO_USER");
    const struct passwd *user = name && *name ? NULL : getpwuid(geteuid());
    if (name && *name)
        return name;
    return user ? user->pw_name : "somebody";
}

static struct slice question_of(struct arena *arena, const struct shift_arguments *told)
{
    struct text text = text_growing(0);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_object(&writer);
    json_put_text(&writer, "service", slice_of_text(told->service));
    json_put_text(&writer, "by", slice_of_text(told->by ? told->by : who_we_are()));
    if (told->is_reset) {
        json_put_bool(&writer, "reset", true);
    } else {
        json_put_object(&writer, "shares");
        for (size_t i = 0; i < 2 * PAIRS_MAX && told->pairs[i]; i += 2)
            json_put_text(&writer, told->pairs[i], slice_of_text(told->pairs[i + 1]));
        json_write_object_end(&writer);
    }
    json_write_object_end(&writer);
    struct slice body = text.failed ? SLICE_NONE : arena_copy(arena, text_slice(&text));
    text_release(&text);
    return body;
}

static void print_shares(struct arena *arena, struct slice body)
{
    struct json_value *root;
    if (json_parse(arena, body, NULL, &root, NULL) || !json_get(root, SLICE("versions")))
        return;
    json_each (version, json_get(root, SLICE("versions"))) {
        struct slice name = SLICE_NONE;
        const struct json_value *number = json_get(version, SLICE("share"));
        double share = 0;
        (void)json_get_text(version, SLICE("name"), &name);
        if (number)
            (void)json_to_double(number->text, &share);
        printf("%.*s %.4g%%\n", SLICE_ARG(name), share * 100);
    }
}

static int tell(struct arena *arena, const struct shift_arguments *told)
{
    struct control_answer answer;
    struct slice body = question_of(arena, told);
    if (!body.data)
        return EXIT_FAILED;
    int code = control_ask(arena, told->control,
        &(struct control_question){.method = "POST", .target = "/v1/shift", .body = body}, &answer);
    if (code)
        return code;
    if (told->json)
        printf("%.*s", SLICE_ARG(answer.body));
    else if (answer.status != 200)
        control_complain(arena, answer.body);
    else
        print_shares(arena, answer.body);
    return answer.status == 200 ? EXIT_DONE : EXIT_FAILED;
}

/* The operands are a service, and pairs. */
static int read_arguments(struct shift_arguments *told, int count, char **words)
{
    struct argument taken[2 * PAIRS_MAX + 6] = {{.value = &told->service},
        {.name = "--control", .value = &told->control}, {.name = "--by", .value = &told->by},
        {.name = "--reset", .flag = &told->is_reset}, {.name = "--json", .flag = &told->json}};
    size_t pairs = 0;
    for (size_t i = 0; i < 2 * PAIRS_MAX; i++)
        taken[5 + i] = (struct argument){.value = &told->pairs[i]};
    int code = arguments_read(&shift_command, count, words, taken);
    if (code)
        return code;
    while (pairs < 2 * PAIRS_MAX && told->pairs[pairs])
        pairs++;
    if (!told->service || (!told->is_reset && (pairs == 0 || pairs % 2)))
        return command_usage(&shift_command, "needs a service, a version and its share");
    for (size_t i = 2; i < pairs; i += 2)
        for (size_t j = 0; j < i; j += 2)
            if (!strcmp(told->pairs[i], told->pairs[j]))
                return command_usage(&shift_command, "names a version twice");
    if (told->is_reset && pairs)
        return command_usage(&shift_command, "--reset takes no shares");
    return EXIT_DONE;
}

static int run(int count, char **words)
{
    struct shift_arguments told = {0};
    struct arena arena;
    int code = read_arguments(&told, count, words);
    if (code)
        return code;
    arena_init(&arena, 0, 0);
    code = tell(&arena, &told);
    arena_release(&arena);
    return code;
}

static const char *const options[] = {"--reset", "--by", "--control", "--json", NULL};

const struct command shift_command = {.name = "shift",
    .arguments = "SERVICE {VERSION SHARE... | --reset} [--by NAME] [--control SOCKET] [--json]",
    .summary = "Says which share of the users a version of a service gets.",
    .help =
        "`weir shift order green 100%` is blue/green: at once, for all workers. The others\n"
        "divide the rest as before. It holds until the next word, across reloads and upgrades,\n"
        "or until the file's own shares change; --reset goes back to them.",
    .options = options,
    .run = run};
