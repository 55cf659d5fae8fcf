/* Contexts: a stack and the place where it stopped. The lowest part of fibers, which nothing else
 * uses.
 *
 * Only what the C calling convention lets a callee keep is saved (no signal mask, no floating-point
 * control words), so a switch costs a few nanoseconds: switch_x86_64.S, switch_aarch64.S.
 * Elsewhere, or with WEIR_SWITCH_UCONTEXT defined, the C library's ucontext does the same in a few
 * hundred (switch_ucontext.c).
 *
 * To add a machine: a switch_<machine>.S with the two symbols below, its initial frame in switch.c,
 * and its name here. */
#pragma once

#if !defined(WEIR_SWITCH_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define WEIR_SWITCH_UCONTEXT 1
#endif

#ifdef WEIR_SWITCH_UCONTEXT
#include <ucontext.h>
struct context {
    ucontext_t saved;
    void (*entry)(void *argument);
    void *argument;
};
#else
struct context {
    void *stack_pointer; /* below it lie the saved registers and the address to go on at */
};
#endif

/* Prepares `context` so that the first switch to it calls `entry(argument)`, which must not return.
 * The stack reaches from `bottom` up to `top`. */
void context_init(struct context *context, void *bottom, void *top, void (*entry)(void *argument),
    void *argument);

/* Stops here, into `from`, and goes on where `to` stopped. */
void context_switch(struct context *from, const struct context *to);
