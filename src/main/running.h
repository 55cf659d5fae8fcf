/* Running the gateway as this process, for `weir run` and `weir demo`. */
#pragma once

#include <stdbool.h>

struct gateway;

struct run_options {
    const char *path;    /* of the configuration */
    const char *control; /* the control socket's path; NULL: the usual one */
    bool watches;        /* reload when the configuration changes on disk */
    bool can_upgrade;    /* the same arguments start it again: another process may replace it */
    void (*ready)(void *argument, struct gateway *gateway); /* called once it serves; or NULL */
    void *argument;
};

/* Until a signal ends it; an exit code. */
int running_run(const struct run_options *options);
