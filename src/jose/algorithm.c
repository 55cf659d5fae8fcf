#include "jose/algorithm.h"

static const struct jose_algorithm_facts table[JOSE_ALGORITHM_COUNT] = {
#define ALGORITHM(name, word, family, digest, size, curve) \
    [JOSE_##name] = {SLICE_INIT(word), family, digest, size, curve},
#include "jose/algorithm.def"
#undef ALGORITHM
};

const struct jose_algorithm_facts *jose_algorithm_facts(enum jose_algorithm algorithm)
{
    return &table[algorithm];
}

bool jose_algorithm_find(struct slice word, enum jose_algorithm *ret_algorithm)
{
    for (unsigned i = 0; i < JOSE_ALGORITHM_COUNT; i++)
        if (slice_equal(table[i].word, word)) {
            *ret_algorithm = (enum jose_algorithm)i;
            return true;
        }
    return false;
}
