/* Loading a configuration for a command that only looks at it. */
#pragma once

#include "gateway/foundation.h"

struct loaded {
    struct foundation foundation;
    struct arena arena; /* of the diagnostics */
    struct diagnostics diagnostics;
    struct snapshot *snapshot; /* NULL when it is not good */
};

/* On a fiber. Prints the diagnostics (to stderr, or as JSON to stdout). EXIT_DONE, EXIT_CONFIG or
 * EXIT_FAILED. */
int load_configuration(const char *path, bool json, struct loaded *loaded);
void loaded_release(struct loaded *loaded);

/* The same print for others. */
void print_diagnostics(struct diagnostics *diagnostics, bool json);

/* Runs a command's body on a fiber of a loop of its own. */
int run_on_fiber(int (*body)(void *argument), void *argument);
