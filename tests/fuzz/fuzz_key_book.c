/* Reads any bytes as a file of API keys. Who is in it has a name, and no digest among its claims.
 */
#include "base/must.h"
#include "policy/key_book.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char room[WATCHED_TROUBLE_MAX];
    struct text trouble = text_fixed(room, sizeof room);
    struct key_book *book;
    struct slice name;
    static const unsigned char digest[KEY_DIGEST_SIZE] = {[KEY_DIGEST_SIZE - 1] = 1};
    if (key_book_read(slice_of((const char *)data, size), &trouble, &book)) {
        must(trouble.size > 0 && !trouble.failed);
        return 0;
    }
    const struct consumer *consumer = key_book_find(book, digest);
    if (consumer) {
        must(json_get_text(consumer->claims, SLICE("sub"), &name) && name.size > 0);
        must(!json_get(consumer->claims, SLICE("sha256")));
        must(!json_get(consumer->claims, SLICE("name")));
    }
    key_book_unref(book);
    return 0;
}
