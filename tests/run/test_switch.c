/* Contexts alone. test_switch_ucontext.c includes this file to test the other way to switch. */
#include "run/switch.h"

#include <stdlib.h>

#include "run/checked.h"
#include "support/unit.h"

#define STACK 65536

static struct context main_context, first, second;
static char story[64];
static size_t told;

static void tell(char c)
{
    story[told++] = c;
}

/* Keeps many values alive over the switches, so that a register that is not kept shows. */
static void add_up(void *argument)
{
    volatile double seed = 1.25;
    double x[6];
    long n[6];
    for (int i = 0; i < 6; i++) {
        x[i] = seed * (i + 1);
        n[i] = (long)(seed * 100) + i;
    }
    for (int round = 0; round < 3; round++) {
        tell(*(char *)argument);
        context_switch(*(char *)argument == 'a' ? &first : &second,
            *(char *)argument == 'a' ? &second : &main_context);
        for (int i = 0; i < 6; i++) {
            assert_true(x[i] == 1.25 * (i + 1) + round);
            assert_int_equal(n[i], 125 + i + round);
            x[i] += 1;
            n[i] += 1;
        }
    }
    context_switch(&first, &main_context);
}

static void contexts_take_turns(void **state)
{
    (void)state;
#ifdef CHECKED_THREAD
    skip(); /* ThreadSanitizer wants to know of each switch */
#endif
    static char names[] = "ab";
    char *stacks = aligned_alloc(64, (size_t)2 * STACK);
    assert_non_null(stacks);
    context_init(&first, stacks, stacks + STACK, add_up, &names[0]);
    context_init(&second, stacks + STACK, stacks + (size_t)2 * STACK, add_up, &names[1]);
    told = 0;
    for (int i = 0; i < 3; i++) {
        tell('-');
        context_switch(&main_context, &first);
    }
    tell(0);
    assert_string_equal(story, "-ab-ab-ab");
    free(stacks);
}

/* The calling convention wants the stack pointer at a multiple of 16 where a function is called. */
static uintptr_t misaligned_by;

static void look_at_alignment(void *argument)
{
    (void)argument;
    _Alignas(16) volatile char aligned[16] = {0};
    misaligned_by = (uintptr_t)__builtin_frame_address(0) % 16 + (uintptr_t)&aligned[0] % 16;
    context_switch(&first, &main_context);
}

static void a_new_stack_is_aligned(void **state)
{
    (void)state;
#ifdef CHECKED_THREAD
    skip();
#endif
    for (size_t shift = 0; shift < 32; shift += 8) {
        char *stack = malloc(STACK); /* a new one: AddressSanitizer marks used ones */
        assert_non_null(stack);
        misaligned_by = 99;
        context_init(&first, stack, stack + STACK - shift, look_at_alignment, NULL);
        context_switch(&main_context, &first);
        assert_int_equal(misaligned_by, 0);
        free(stack);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_take_turns),
        cmocka_unit_test(a_new_stack_is_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
