#include "run/switch.h"

#ifdef WEIR_SWITCH_UCONTEXT

#include <stddef.h>
#include <stdint.h>

#include "base/must.h"

/* makecontext passes ints only, so the pointer travels in halves. */
static void begin(unsigned high, unsigned low)
{
    struct context *context = (struct context *)((uintptr_t)high << 16 << 16 | low);
    context->entry(context->argument);
}

void context_init(
    struct context *context, void *bottom, void *top, void (*entry)(void *argument), void *argument)
{
    must(getcontext(&context->saved) == 0);
    context->entry = entry;
    context->argument = argument;
    context->saved.uc_stack.ss_sp = bottom;
    context->saved.uc_stack.ss_size = (size_t)((char *)top - (char *)bottom);
    context->saved.uc_link = NULL;
    uintptr_t self = (uintptr_t)context;
    makecontext(
        &context->saved, (void (*)(void))begin, 2, (unsigned)(self >> 16 >> 16), (unsigned)self);
}

void context_switch(struct context *from, const struct context *to)
{
    must(swapcontext(&from->saved, &to->saved) == 0);
}

#else
/* A translation unit needs a declaration. */
typedef int switch_ucontext_is_not_used;
#endif
