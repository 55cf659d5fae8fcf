/* The switch for machines that have no assembly of their own: the same tests on a second copy of
 * it, under other names. */
#define WEIR_SWITCH_UCONTEXT 1
#define context_init         context_init_by_ucontext
#define context_switch       context_switch_by_ucontext

#include "run/switch_ucontext.c"

#include "run/test_switch.c"
