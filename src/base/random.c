#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/must.h"

void random_bytes(void *data, size_t size)
{
    char *p = data;
    while (size) {
        ssize_t n = getrandom(p, size, 0);
        must(n > 0 || errno == EINTR);
        if (n > 0) {
            p += n;
            size -= (size_t)n;
        }
    }
}

void random_init(struct random *random)
{
    random_bytes(random->state, sizeof random->state);
    random->state[0] |= 1; /* all zero would stay zero */
}

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

/* xoshiro256++ 1.0 (Blackman and Vigna, 2019). */
uint64_t random_next(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Lemire's multiplication, with the rejection that makes it even. */
uint64_t random_below(struct random *random, uint64_t bound)
{
    must(bound > 0);
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)random_next(random) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = -bound % bound;
        while ((uint64_t)product < threshold)
            product = (wide)random_next(random) * bound;
    }
    return (uint64_t)(product >> 64);
}

/* Eight digits of the lower 32 bits: each nibble is spread into a byte of its own, then all become
 * letters at once. In memory the first digit comes first. */
static uint64_t hex_of(uint32_t value)
{
    uint64_t nibbles = value;
    nibbles = (nibbles << 16 | nibbles) & 0x0000ffff0000ffff;
    nibbles = (nibbles << 8 | nibbles) & 0x00ff00ff00ff00ff;
    nibbles = (nibbles << 4 | nibbles) & 0x0f0f0f0f0f0f0f0f;
    uint64_t is_letter = (nibbles + 0x0606060606060606) >> 4 & 0x0101010101010101;
    uint64_t digits = nibbles + 0x3030303030303030 + is_letter * ('a' - '9' - 1);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap64(digits);
#else
    return digits;
#endif
}

int64_t random_pause(struct random *random, int64_t least, int64_t most, unsigned failures)
{
    int64_t pause = least;
    for (unsigned i = 1; i < failures && pause < most; i++)
        pause *= 2;
    pause = pause < most ? pause : most;
    return pause / 2 + (int64_t)random_below(random, (uint64_t)(pause / 2) + 1);
}

void random_uuid7(struct random *random, int64_t wall, char text[UUID_SIZE])
{
    uint64_t milliseconds = (uint64_t)wall / 1000000;
    uint64_t a = random_next(random), b = random_next(random);
    uint64_t high = milliseconds << 16 | 0x7000 | (a & 0x0fff);
    uint64_t low = (uint64_t)1 << 63 | b >> 2;
    uint64_t words[4] = {hex_of((uint32_t)(high >> 32)), hex_of((uint32_t)high),
        hex_of((uint32_t)(low >> 32)), hex_of((uint32_t)low)};
    char digits[32];
    memcpy(digits, words, sizeof digits);
    memset(text, '-', UUID_SIZE);
    memcpy(text, digits, 8);
    memcpy(text + 9, digits + 8, 4);
    memcpy(text + 14, digits + 12, 4);
    memcpy(text + 19, digits + 16, 4);
    memcpy(text + 24, digits + 20, 12);
}
