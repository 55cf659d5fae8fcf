/* What both the reader and the writer of structured fields know about bytes. */
#pragma once

#include "base/slice.h"

static inline bool structured_is_printable(char c)
{
    return c >= 0x20 && c < 0x7f;
}

/* How many bytes of a key `s` begins with (§3.1.2): small letters, digits and _-.* of which a small
 * letter or * is first. */
size_t structured_key_size(struct slice s);

/* How many bytes of a token `s` begins with (§3.3.4). */
size_t structured_token_size(struct slice s);
