#include <stdio.h>

#include "config/document.h"
#include "gateway/options.h"
#include "main/command.h"

static int run(int count, char **words)
{
    (void)words;
    if (count)
        return command_usage(&reference_command, "takes no arguments");
    struct text text = text_growing(0);
    document_reference(&gateway_table, &text);
    bool is_printed = !text.failed && fwrite(text.data, 1, text.size, stdout) == text.size;
    text_release(&text);
    return is_printed ? EXIT_DONE : EXIT_FAILED;
}

const struct command reference_command = {.name = "reference",
    .arguments = "",
    .summary = "Prints the reference of every option, as Markdown.",
    .run = run};
