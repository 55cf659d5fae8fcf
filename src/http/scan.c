#include "http/scan.h"

#define TEXT  (SCAN_VALUE | SCAN_TARGET)
#define ALPHA (TEXT | SCAN_TOKEN | SCAN_PATH | SCAN_UNRESERVED)

const uint8_t scan_classes[256] = {
    ['\t'] = SCAN_VALUE,
    [' '] = SCAN_VALUE,
    ['#'] = SCAN_VALUE | SCAN_TOKEN,
    ['a' ... 'z'] = ALPHA | SCAN_HOST,
    ['A' ... 'Z'] = ALPHA,
    ['0' ... '9'] = ALPHA | SCAN_HOST,
    ['-'] = ALPHA | SCAN_HOST,
    ['.'] = ALPHA | SCAN_HOST,
    ['_'] = ALPHA | SCAN_HOST,
    ['~'] = ALPHA | SCAN_HOST,
    ['!'] = TEXT | SCAN_TOKEN | SCAN_PATH,
    ['$'] = TEXT | SCAN_TOKEN | SCAN_PATH,
    ['&'] = TEXT | SCAN_TOKEN | SCAN_PATH,
    ['\''] = TEXT | SCAN_TOKEN | SCAN_PATH,
    ['*'] = TEXT | SCAN_TOKEN | SCAN_PATH,
    ['+'] = TEXT | SCAN_TOKEN | SCAN_PATH,
    ['%'] = TEXT | SCAN_TOKEN,
    ['^'] = TEXT | SCAN_TOKEN,
    ['`'] = TEXT | SCAN_TOKEN,
    ['|'] = TEXT | SCAN_TOKEN,
    ['('] = TEXT | SCAN_PATH,
    [')'] = TEXT | SCAN_PATH,
    [','] = TEXT | SCAN_PATH,
    ['/'] = TEXT | SCAN_PATH,
    [':'] = TEXT | SCAN_PATH,
    [';'] = TEXT | SCAN_PATH,
    ['='] = TEXT | SCAN_PATH,
    ['@'] = TEXT | SCAN_PATH,
    ['"'] = TEXT,
    ['<'] = TEXT,
    ['>'] = TEXT,
    ['?'] = TEXT,
    ['['] = TEXT,
    ['\\'] = TEXT,
    [']'] = TEXT,
    ['{'] = TEXT,
    ['}'] = TEXT,
    [0x80 ... 0xff] = SCAN_VALUE,
};

static const char *value_by_16(const char *p, const char *end)
{
#ifdef SCAN_HAS_VECTORS
    for (; end - p >= 16; p += 16) {
        scan_vector v = scan_load(p);
        unsigned first = scan_first(((v < 0x20) & (v != '\t')) | (v == 0x7f));
        if (first < 16)
            return p + first;
    }
#endif
    return scan_table(p, end, SCAN_VALUE);
}

#if defined(__x86_64__)
typedef uint8_t wide_vector __attribute__((vector_size(32)));
typedef char wide_mask __attribute__((vector_size(32)));

__attribute__((target("avx2"))) static const char *value_by_32(const char *p, const char *end)
{
    for (; end - p >= 32; p += 32) {
        wide_vector v;
        memcpy(&v, p, sizeof v);
        unsigned bits = (unsigned)__builtin_ia32_pmovmskb256(
            (wide_mask)(((v < 0x20) & (v != '\t')) | (v == 0x7f)));
        if (bits)
            return p + __builtin_ctz(bits);
    }
    return value_by_16(p, end);
}
#endif

const char *scan_value_on(const char *p, const char *end)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return value_by_32(p, end);
#endif
    return value_by_16(p, end);
}
