/* What a running gateway knows of a service's endpoints, for `weir explain`. */
#pragma once

#include "base/arena.h"
#include "base/json_writer.h"

/* Asks the gateway at that control socket how the service's endpoints are, and prints of each
 * whether it may be chosen, and if not, why. As a member "endpoints" when there is a writer, else
 * as lines. An exit code; complains on stderr. On a fiber. */
int live_explain(const char *control, struct slice service, struct json_writer *writer);
