/* Content-Digest (RFC 9530 §2): what a body's bytes are, as its sender says. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

/* Holds the body against the field's value: by `only`, an algorithm, or, when that is empty, by all
 * in it that are known, of which there has to be one. Known are sha-256 and sha-512. DIGEST_WRONG,
 * NO_MEMORY. */
enum status content_digest_check(
    struct arena *arena, struct slice value, struct slice only, struct slice body);
