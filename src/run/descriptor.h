/* Waiting for descriptors that are not streams: signalfd, inotify, pipes. */
#pragma once

#include "base/clock.h"
#include "base/status.h"

/* Until the descriptor can be read. Costs two system calls beside the wait: for what is rare.
 * TIMEOUT, CANCELLED; IO_ERROR when it cannot be polled (a plain file). Not twice at a time for one
 * descriptor. */
enum status descriptor_wait_readable(int descriptor, instant deadline);

/* The same for writing. */
enum status descriptor_wait_writable(int descriptor, instant deadline);
