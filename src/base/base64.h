/* Base64 (RFC 4648 §4 and §5), strict: one text for each value, or it is refused. */
#pragma once

#include "base/slice.h"

enum base64_options {
    BASE64_URL = 1,      /* - and _ in place of + and / */
    BASE64_UNPADDED = 2, /* without the = at the end */
    BASE64_LENIENT = 4,  /* reading only: padding may be there or not, and the bits beyond the last
                            byte  may be anything */
};

/* How much room encoding `size` bytes needs, at most; SIZE_MAX when there is no such number. */
size_t base64_encoded_size(size_t size);

/* How much room decoding `size` characters needs, at most. */
size_t base64_decoded_size(size_t size);

/* Writes the text of `bytes` into base64_encoded_size(bytes.size) bytes of room and returns its
 * size. */
size_t base64_encode(struct slice bytes, unsigned options, char *text);

/* What a letter stands for, or -1. */
int base64_value(char c, unsigned options);

/* Writes the bytes of `text` into base64_decoded_size(text.size) bytes of room, which may be where
 * the text is. False when it is malformed; the room is scribbled on then. */
bool base64_decode(struct slice text, unsigned options, char *bytes, size_t *ret_size);
