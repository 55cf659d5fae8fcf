#include "main/arguments.h"

#include <stdio.h>
#include <string.h>

static bool is_end(const struct argument *argument)
{
    return !argument->flag && !argument->value;
}

static const struct argument *find(const struct argument *taken, const char *word)
{
    bool is_option = word[0] == '-' && word[1];
    for (; !is_end(taken); taken++)
        if (is_option ? taken->name && !strcmp(taken->name, word) : !taken->name && !*taken->value)
            return taken;
    return NULL;
}

static int complain(const struct command *command, const char *problem, const char *word)
{
    char text[256];
    snprintf(text, sizeof text, "%s \"%s\"", problem, word);
    return command_usage(command, text);
}

int arguments_read(
    const struct command *command, int count, char **words, const struct argument *arguments_taken)
{
    for (int i = 0; i < count; i++) {
        const struct argument *argument = find(arguments_taken, words[i]);
        if (!argument)
            return complain(command, "does not take", words[i]);
        if (argument->flag)
            *argument->flag = true;
        else if (!argument->name)
            *argument->value = words[i];
        else if (i + 1 < count)
            *argument->value = words[++i];
        else
            return complain(command, "needs a value for", words[i]);
    }
    for (const struct argument *a = arguments_taken; !is_end(a); a++)
        if (a->is_required && !*a->value)
            return command_usage(command, "needs a file or folder");
    return EXIT_DONE;
}
