#include "policy/content_digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/structured_field.h"

/* RFC 9530 §5: the others are there for history alone. */
static const struct {
    struct slice key;
    const char *digest; /* OpenSSL's name */
} algorithms[] = {{SLICE_INIT("sha-256"), "SHA256"}, {SLICE_INIT("sha-512"), "SHA512"}};

static const char *digest_of(struct slice key)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (slice_equal(algorithms[i].key, key))
            return algorithms[i].digest;
    return NULL;
}

static enum status check(
    const char *digest, const struct structured_value *value, struct slice body)
{
    unsigned char code[EVP_MAX_MD_SIZE];
    size_t size;
    if (value->type != STRUCTURED_BYTES)
        return DIGEST_WRONG;
    if (!EVP_Q_digest(NULL, digest, NULL, body.data, body.size, code, &size))
        return NO_MEMORY;
    bool is_same = value->text.size == size && CRYPTO_memcmp(value->text.data, code, size) == 0;
    return is_same ? OK : DIGEST_WRONG;
}

enum status content_digest_check(
    struct arena *arena, struct slice value, struct slice only, struct slice body)
{
    struct structured_member *first;
    enum status e = structured_parse_dictionary(arena, value, &first);
    unsigned checked = 0;
    if (e)
        return e == NO_MEMORY ? e : DIGEST_WRONG;
    for (const struct structured_member *m = first; m && !e; m = m->next) {
        const char *digest = digest_of(m->key);
        if (!digest || (only.size && !slice_equal(only, m->key)))
            continue;
        e = check(digest, &m->value, body);
        checked++;
    }
    return e ? e : checked ? OK : DIGEST_WRONG;
}
