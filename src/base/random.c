#include "base/random.h"

#include <errno.h>
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

static char *put_hex(char *p, uint64_t value, int digits)
{
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        *p++ = "0123456789abcdef"[value >> shift & 15];
    return p;
}

void random_uuid7(struct random *random, int64_t wall, char text[UUID_SIZE])
{
    uint64_t milliseconds = (uint64_t)wall / 1000000;
    uint64_t a = random_next(random), b = random_next(random);
    char *p = put_hex(text, milliseconds >> 16, 8);
    *p++ = '-';
    p = put_hex(p, milliseconds & 0xffff, 4);
    *p++ = '-';
    p = put_hex(p, 0x7000 | (a & 0x0fff), 4);
    *p++ = '-';
    p = put_hex(p, 0x8000 | (a >> 16 & 0x3fff), 4);
    *p++ = '-';
    put_hex(p, b & 0xffffffffffff, 12);
}
