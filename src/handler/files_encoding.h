/* Choosing a precompressed variant by Accept-Encoding (RFC 9110 §12.5.3). */
#pragma once

#include "base/slice.h"

enum encoding { ENCODING_IDENTITY, ENCODING_BROTLI, ENCODING_GZIP, ENCODING_ZSTD, ENCODING_COUNT };

/* "br", "gzip", "zstd"; "identity". */
struct slice encoding_token(enum encoding encoding);

/* What such a file's name ends with: ".br", ".gz", ".zst"; "" for identity. */
struct slice encoding_suffix(enum encoding encoding);

/* How much the client wants each, in thousandths: 0 is not at all. */
struct encoding_wishes {
    int quality[ENCODING_COUNT];
};

/* Reads the field's value; null data when the request has none. Malformed members are left out.
 * Where identity is not named, it is taken, but after everything that is. */
struct encoding_wishes encoding_read_wishes(struct slice accept_encoding);

/* Puts those of `offered` that the client takes, and wants no less than identity, into `ret_order`,
 * the most wanted first; equally wanted ones in the order in which they are offered. Returns how
 * many. */
unsigned encoding_choose(const struct encoding_wishes *wishes, const enum encoding *offered,
    unsigned count, enum encoding ret_order[ENCODING_COUNT]);
