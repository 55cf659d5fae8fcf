/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include "base/slice.h"

/* Bytes of the well-formed character at the front of `s`, or 0 when there is none. */
size_t utf8_size(struct slice s);

bool utf8_is_valid(struct slice s);

/* Writes `code` (at most U+10FFFF, no surrogate) and returns its size, 1 to 4 bytes. */
size_t utf8_encode(uint32_t code, char text[4]);
