/* `state:` at the top of the file: what the gateway itself remembers, in memory and in a file. */
#pragma once

#include "config/option.h"

struct state_options {
    struct slice file;  /* as it was written; empty: none */
    int64_t size_max;   /* bytes of the file */
    int64_t timeout;    /* nanoseconds that a request waits for it, at most */
    int64_t pending;    /* questions that may wait for it at a time */
    int64_t memory;     /* bytes that the store in memory may hold */
    struct place place; /* of the file's name */
};

extern const struct option_table state_table;
