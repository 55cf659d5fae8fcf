#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "main/command.h"

static void print_names(const char *separator)
{
    for (size_t i = 0; commands[i]; i++)
        printf("%s%s", i ? separator : "", commands[i]->name);
}

static void print_options(const struct command *command)
{
    for (size_t i = 0; command->options && command->options[i]; i++)
        printf("%s%s", i ? " " : "", command->options[i]);
}

static void print_bash(void)
{
    printf("_weir() {\n"
           "    local word=\"${COMP_WORDS[COMP_CWORD]}\"\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W \"");
    print_names(" ");
    printf("\" -- \"$word\"))\n        return\n    fi\n    case \"$word\" in -*)\n"
           "        case \"${COMP_WORDS[1]}\" in\n");
    for (size_t i = 0; commands[i]; i++) {
        if (!commands[i]->options)
            continue;
        printf("        %s) COMPREPLY=($(compgen -W \"", commands[i]->name);
        print_options(commands[i]);
        printf("\" -- \"$word\")) ;;\n");
    }
    printf("        esac\n        return ;;\n    esac\n"
           "    COMPREPLY=($(compgen -f -- \"$word\"))\n}\n"
           "complete -o filenames -F _weir weir\n");
}

static void print_zsh(void)
{
    printf("#compdef weir\n_weir() {\n    local -a names\n    names=(\n");
    for (size_t i = 0; commands[i]; i++)
        printf("        '%s:%s'\n", commands[i]->name, commands[i]->summary);
    printf("    )\n    if (( CURRENT == 2 )); then\n        _describe command names\n        "
           "return\n    fi\n"
           "    case \"$words[2]\" in\n");
    for (size_t i = 0; commands[i]; i++) {
        if (!commands[i]->options)
            continue;
        printf("    %s) [[ $PREFIX == -* ]] && compadd -- ", commands[i]->name);
        print_options(commands[i]);
        printf(" && return ;;\n");
    }
    printf("    esac\n    _files\n}\n"
           "if [ \"$funcstack[1]\" = _weir ]; then _weir \"$@\"; else compdef _weir weir; fi\n");
}

static void print_fish(void)
{
    for (size_t i = 0; commands[i]; i++) {
        printf("complete -c weir -n __fish_use_subcommand -f -a %s -d '%s'\n", commands[i]->name,
            commands[i]->summary);
        for (size_t o = 0; commands[i]->options && commands[i]->options[o]; o++) {
            const char *option = commands[i]->options[o];
            bool is_long = option[1] == '-';
            printf("complete -c weir -n '__fish_seen_subcommand_from %s' %s %s\n",
                commands[i]->name, is_long ? "-l" : "-s", option + (is_long ? 2 : 1));
        }
    }
}

static int run(int count, char **words)
{
    if (count != 1)
        return command_usage(&completion_command, "needs a shell: bash, zsh or fish");
    if (!strcmp(words[0], "bash"))
        print_bash();
    else if (!strcmp(words[0], "zsh"))
        print_zsh();
    else if (!strcmp(words[0], "fish"))
        print_fish();
    else
        return command_usage(&completion_command, "knows bash, zsh and fish");
    return EXIT_DONE;
}

const struct command completion_command = {.name = "completion",
    .arguments = "bash | zsh | fish",
    .summary = "Prints completions for a shell.",
    .help = "For example: weir completion bash > /etc/bash_completion.d/weir",
    .run = run};
