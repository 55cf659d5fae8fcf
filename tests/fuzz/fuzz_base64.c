/* Base64 by the options in the first byte. What is read is written again as the same text, but for
 * what the lenient way lets pass, which is then read as the same bytes. */
#include "base/base64.h"
#include "base/must.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct slice text, struct slice bytes, unsigned options)
{
    char *again = malloc(base64_encoded_size(bytes.size) + 1);
    must(again);
    struct slice written =
        slice_of(again, base64_encode(bytes, options & ~(unsigned)BASE64_LENIENT, again));
    if (options & BASE64_LENIENT) {
        size_t size = 0;
        char *room = malloc(base64_decoded_size(written.size) + 1);
        must(room && base64_decode(written, options, room, &size));
        must(slice_equal(slice_of(room, size), bytes));
        free(room);
    } else {
        must(slice_equal(written, text));
    }
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t got = 0;
    if (size == 0)
        return 0;
    struct slice text = slice_of((const char *)data + 1, size - 1);
    unsigned options = data[0] & (BASE64_URL | BASE64_UNPADDED | BASE64_LENIENT);
    char *room = malloc(base64_decoded_size(text.size) + 1);
    must(room);
    if (base64_decode(text, options, room, &got)) {
        must(got <= base64_decoded_size(text.size));
        check_again(text, slice_of(room, got), options);
    }
    free(room);
    return 0;
}
