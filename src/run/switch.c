#include "run/switch.h"

#ifndef WEIR_SWITCH_UCONTEXT

#include <stdint.h>
#include <string.h>

/* In switch_<machine>.S: calls the entry function that the initial frame names. */
void context_begin(void);

#if defined(__x86_64__)
/* In the order in which context_switch pops them. */
struct frame {
    void *r15, *r14, *r13;
    void *argument; /* r12 */
    void *entry;    /* rbx */
    void *rbp;
    void *go_on_at;
};
#else
struct frame {
    void *entry, *argument; /* x19, x20 */
    void *x21_to_x28[8];
    void *frame_pointer; /* x29 */
    void *go_on_at;      /* x30 */
    double d8_to_d15[8];
};
#endif

void context_init(
    struct context *context, void *bottom, void *top, void (*entry)(void *argument), void *argument)
{
    (void)bottom;
    struct frame *frame = (struct frame *)((uintptr_t)top & ~(uintptr_t)15) - 1;
    memset(frame, 0, sizeof *frame);
    frame->entry = (void *)entry;
    frame->argument = argument;
    frame->go_on_at = (void *)context_begin;
    context->stack_pointer = frame;
}

#endif
