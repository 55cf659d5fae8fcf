/* Accept-Encoding fields: qualities are thousandths, and the order of variants follows them. */
#include "base/must.h"
#include "handler/files_encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum encoding offered[] = {ENCODING_GZIP, ENCODING_BROTLI, ENCODING_ZSTD};
    struct encoding_wishes wishes = encoding_read_wishes(slice_of((const char *)data, size));
    enum encoding order[ENCODING_COUNT];
    unsigned seen = 0, count = encoding_choose(&wishes, offered, 3, order);
    must(count <= 3);
    for (int i = 0; i < ENCODING_COUNT; i++)
        must(wishes.quality[i] >= 0 && wishes.quality[i] <= 1000);
    for (unsigned i = 0; i < count; i++) {
        int quality = wishes.quality[order[i]];
        must(quality > 0 && quality >= wishes.quality[ENCODING_IDENTITY]);
        must(i == 0 || quality <= wishes.quality[order[i - 1]]);
        must(!(seen & 1u << order[i]));
        seen |= 1u << order[i];
    }
    return 0;
}
