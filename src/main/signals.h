/* Signals as events of a loop, through signalfd. */
#pragma once

#include "base/status.h"

struct signals;

/* Blocks TERM, INT, HUP and USR1 for this thread and those that it starts from now on, and calls
 * `got` with each that arrives, on the calling thread's loop, outside any fiber. */
enum status signals_new(
    void (*got)(void *argument, int signal), void *argument, struct signals **ret_signals);
/* Blocks them alone: for whoever starts threads before `signals_new`. A thread that does not block
 * them would take them, and the process would end at once. */
void signals_block(void);

void signals_free(struct signals *signals);
