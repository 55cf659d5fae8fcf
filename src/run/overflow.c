#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "run/loop_core.h"

/* Everything here runs in a signal handler: no locks, no memory, no printf. */

struct line {
    char text[256];
    size_t size;
};

static void add_text(struct line *line, const char *text)
{
    while (*text && line->size < sizeof line->text)
        line->text[line->size++] = *text++;
}

static void add_number(struct line *line, uintptr_t value, unsigned base)
{
    char digits[24];
    size_t first = sizeof digits - 1;
    digits[first] = 0;
    do {
        digits[--first] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    add_text(line, digits + first);
}

static void tell(const struct fiber *fiber, size_t stack_size)
{
    struct line line = {.size = 0};
    add_text(&line, "weir: stack overflow in a fiber (0x");
    add_number(&line, (uintptr_t)fiber, 16);
    add_text(&line, ", begun in 0x");
    add_number(&line, (uintptr_t)fiber->run, 16);
    add_text(&line, "): its ");
    add_number(&line, stack_size, 10);
    add_text(&line, " bytes do not suffice\n");
    /* There is nothing left to do when stderr cannot be written. */
    ssize_t ignored = write(STDERR_FILENO, line.text, line.size);
    (void)ignored;
}

/* The default action is in place again (SA_RESETHAND), so that the fault repeats and kills. */
static void faulted(int signal_number, siginfo_t *info, void *context)
{
    const struct loop *loop = loop_here;
    (void)signal_number, (void)context;
    const struct fiber *fiber = loop ? stacks_find_overflow(&loop->stacks, info->si_addr) : NULL;
    if (fiber)
        tell(fiber, loop->stacks.stack_size);
}

void fiber_report_overflow_init(void)
{
    struct sigaction action = {
        .sa_sigaction = faulted, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
}
