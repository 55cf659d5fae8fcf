#include "main/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "main/command.h"
#include "run/loop.h"

static bool wants_color(FILE *to)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(fileno(to)) && !(no_color && *no_color);
}

void print_diagnostics(struct diagnostics *diagnostics, bool json)
{
    struct text text = text_growing(0);
    FILE *to = json ? stdout : stderr;
    if (json)
        diagnostics_print_json(diagnostics, &text);
    else
        diagnostics_print(diagnostics, wants_color(to), &text);
    if (json)
        text_add_char(&text, '\n');
    fwrite(text.data, 1, text.size, to);
    fflush(to);
    text_release(&text);
}

int load_configuration(const char *path, bool json, struct loaded *loaded)
{
    *loaded = (struct loaded){.snapshot = NULL};
    arena_init(&loaded->arena, 0, 0);
    diagnostics_init(&loaded->diagnostics, &loaded->arena);
    enum status e = foundation_init(&loaded->foundation, 0);
    if (!e)
        e = foundation_connect(&loaded->foundation, NULL, NULL, NULL);
    struct snapshot_context context = foundation_context(&loaded->foundation);
    if (!e)
        e = snapshot_load(&context, slice_of_text(path), &loaded->diagnostics, &loaded->snapshot);
    if (json || loaded->diagnostics.count)
        print_diagnostics(&loaded->diagnostics, json);
    if (!e)
        return EXIT_DONE;
    if (!loaded->diagnostics.count)
        fprintf(stderr, "weir: %s: %s\n", path, status_sentence(e));
    return loaded->diagnostics.errors ? EXIT_CONFIG : EXIT_FAILED;
}

void loaded_release(struct loaded *loaded)
{
    snapshot_free(loaded->snapshot);
    foundation_release(&loaded->foundation);
    arena_release(&loaded->arena);
}

struct body_call {
    int (*body)(void *argument);
    void *argument;
    int result;
};

static void call_body(void *argument)
{
    struct body_call *call = argument;
    call->result = call->body(call->argument);
}

int run_on_fiber(int (*body)(void *argument), void *argument)
{
    struct body_call call = {body, argument, EXIT_FAILED};
    enum status e = loop_run_main(NULL, call_body, &call);
    if (e)
        fprintf(stderr, "weir: cannot start: %s\n", status_sentence(e));
    return e ? EXIT_FAILED : call.result;
}
