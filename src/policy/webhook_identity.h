/* By what a webhook that comes again is known. Part of webhook. */
#pragma once

#include "base/arena.h"
#include "policy/webhook_form.h"

/* The id that the sender gave it, in a field or in its body; or, without one and when `by_content`,
 * what was signed. In the arena. NO_MEMORY. */
enum status webhook_identity(const struct webhook_form *form, const struct webhook_claim *claim,
    struct slice body, bool by_content, struct arena *arena, struct slice *ret_identity);
