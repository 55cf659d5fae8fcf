/* Bytes as libraries of cryptography want them, and as people write them. */
#pragma once

#include "base/slice.h"

static inline const unsigned char *octets_of(struct slice s)
{
    return (const unsigned char *)s.data;
}

/* Two hexadecimal digits for each of `size` bytes, no more and no less; false for anything else:
 * then some of the bytes may be written. */
bool octets_read_hex(struct slice hex, unsigned char *ret_bytes, size_t size);
