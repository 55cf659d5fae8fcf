/* Fast looks at the bytes of a head: where a run of allowed bytes ends.
 *
 * Sixteen bytes at a time with whatever the compiler's vectors become (SSE2, NEON); long values 32
 * at a time where the processor has AVX2. The last few bytes before `end`, and all of them on other
 * machines, go through a table. Nothing behind `end` is read. Each function returns the first byte
 * that does not belong to the run, or `end`. */
#pragma once

#include <stdint.h>
#include <string.h>

/* What a byte may be part of; bits of scan_classes. */
enum {
    SCAN_TOKEN = 1,       /* tchar, RFC 9110 §5.6.2 */
    SCAN_VALUE = 2,       /* field values: no control bytes but HTAB, RFC 9110 §5.5 */
    SCAN_TARGET = 4,      /* visible ASCII without "#" */
    SCAN_PATH = 8,        /* pchar and "/", RFC 3986 §3.3; without "%" */
    SCAN_HOST = 16,       /* lower-case letters, digits, "-._~" */
    SCAN_UNRESERVED = 32, /* RFC 3986 §2.3 */
};
extern const uint8_t scan_classes[256];

static inline int scan_is(char c, int class)
{
    return scan_classes[(unsigned char)c] & class;
}

static inline const char *scan_table(const char *p, const char *end, int class)
{
    while (p < end && scan_is(*p, class))
        p++;
    return p;
}

#if defined(__SSE2__) || (defined(__aarch64__) && defined(__ARM_NEON))
#define SCAN_HAS_VECTORS 1

typedef uint8_t scan_vector __attribute__((vector_size(16)));
typedef int8_t scan_mask __attribute__((vector_size(16)));

/* The index of the first byte whose mask is set; 16 when none is. */
static inline unsigned scan_first(scan_mask mask)
{
#if defined(__SSE2__)
    typedef char vector_of_char __attribute__((vector_size(16)));
    unsigned bits = (unsigned)__builtin_ia32_pmovmskb128((vector_of_char)mask);
    return (unsigned)__builtin_ctz(bits | 0x10000);
#else
    /* There is no movemask: keep every eighth bit of the two halves and count in them. */
    typedef uint64_t halves __attribute__((vector_size(16)));
    halves h = (halves)mask;
    if (h[0])
        return (unsigned)__builtin_ctzll(h[0]) / 8;
    return h[1] ? 8 + (unsigned)__builtin_ctzll(h[1]) / 8 : 16;
#endif
}

static inline scan_vector scan_load(const char *p)
{
    scan_vector v;
    memcpy(&v, p, sizeof v);
    return v;
}
#endif

/* The rest of a long value or target, 32 bytes at a time if possible. */
const char *scan_value_on(const char *p, const char *end);

/* What may stand in a field's value. */
static inline const char *scan_value(const char *p, const char *end)
{
#ifdef SCAN_HAS_VECTORS
    for (int blocks = 0; end - p >= 16; blocks++, p += 16) {
        if (blocks == 4)
            return scan_value_on(p, end);
        scan_vector v = scan_load(p);
        unsigned first = scan_first(((v < 0x20) & (v != '\t')) | (v == 0x7f));
        if (first < 16)
            return p + first;
    }
#endif
    return scan_table(p, end, SCAN_VALUE);
}

/* What may stand in a request's target. */
static inline const char *scan_target(const char *p, const char *end)
{
#ifdef SCAN_HAS_VECTORS
    for (; end - p >= 16; p += 16) {
        scan_vector v = scan_load(p);
        unsigned first = scan_first((v <= 0x20) | (v >= 0x7f) | (v == '#'));
        if (first < 16)
            return p + first;
    }
#endif
    return scan_table(p, end, SCAN_TARGET);
}

/* A token, such as a field's name. Letters, digits and "-" are what names are made of; the vector
 * knows only these, and the table decides about the byte at which it stops. */
static inline const char *scan_token(const char *p, const char *end)
{
#ifdef SCAN_HAS_VECTORS
    while (end - p >= 16) {
        scan_vector v = scan_load(p);
        scan_vector letter = (v | 0x20) - 'a', digit = v - '0';
        unsigned first = scan_first(~((letter < 26) | (digit < 10) | (v == '-')));
        p += first;
        if (first < 16) {
            if (!scan_is(*p, SCAN_TOKEN))
                return p;
            p++;
        }
    }
#endif
    return scan_table(p, end, SCAN_TOKEN);
}

/* What needs no normalising in a path, dots aside. As with tokens the vector knows what is usual.
 */
static inline const char *scan_path(const char *p, const char *end)
{
#ifdef SCAN_HAS_VECTORS
    while (end - p >= 16) {
        scan_vector v = scan_load(p);
        scan_vector letter = (v | 0x20) - 'a', other = v - '-'; /* "-", ".", "/" and digits */
        unsigned first = scan_first(~((letter < 26) | (other < 13)));
        p += first;
        if (first < 16) {
            if (!scan_is(*p, SCAN_PATH))
                return p;
            p++;
        }
    }
#endif
    return scan_table(p, end, SCAN_PATH);
}
