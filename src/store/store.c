#include "store/store.h"

#include <openssl/evp.h>

enum status store_program_init(struct store_program *program, const struct store_script *script)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size;
    if (!EVP_Digest(script->lua, strlen(script->lua), digest, &size, EVP_sha1(), NULL))
        return NO_MEMORY;
    program->script = script;
    for (unsigned i = 0; i < STORE_SHA_SIZE / 2; i++) {
        program->sha[2 * i] = digits[digest[i] >> 4];
        program->sha[2 * i + 1] = digits[digest[i] & 15];
    }
    program->sha[STORE_SHA_SIZE - 1] = '\0';
    return OK;
}
