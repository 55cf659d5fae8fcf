/* Reads any bytes as a file of users with hashes of their passwords. No hash is taken that would
 * not fit where it is copied to; none is computed here, since that is slow by design. */
#include "base/must.h"
#include "policy/htpasswd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char room[WATCHED_TROUBLE_MAX];
    struct text trouble = text_fixed(room, sizeof room);
    struct htpasswd *users;
    if (htpasswd_read(slice_of((const char *)data, size), &trouble, &users)) {
        must(trouble.size > 0 && !trouble.failed);
        return 0;
    }
    struct slice any = htpasswd_any(users), alice = htpasswd_find(users, SLICE("alice"));
    must(any.size > 0 && any.size <= HTPASSWD_HASH_MAX && *any.data == '$');
    must(alice.size <= HTPASSWD_HASH_MAX);
    htpasswd_free(users);
    return 0;
}
