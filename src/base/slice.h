/* Slices: a view of bytes that somebody else owns. Not terminated by NUL; may contain NUL.
 *
 * A slice is passed by value. It is valid as long as what it points to: each place that hands one
 * out says how long that is. The empty slice may have a null pointer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data; /* borrowed */
    size_t size;      /* bytes */
};

/* A slice of a string literal, also in static initialisers through SLICE_INIT. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_INIT(literal)             \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }
#define SLICE_NONE ((struct slice){NULL, 0})

/* For printf: printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).size, (s).data

static inline struct slice slice_of(const char *data, size_t size)
{
    return (struct slice){data, size};
}

/* The text before the NUL; a null pointer gives the empty slice. */
static inline struct slice slice_of_text(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* ASCII letters compare without regard to case; other bytes as they are. */
bool slice_equal_nocase(struct slice a, struct slice b);

/* Less than, equal to, greater than 0, by bytes, a prefix first. */
int slice_compare(struct slice a, struct slice b);

bool slice_has_prefix(struct slice s, struct slice prefix);
bool slice_has_suffix(struct slice s, struct slice suffix);

/* Where `c` is first, or s.size. */
size_t slice_find(struct slice s, char c);

/* Where `needle` begins first, or s.size. An empty needle is found at 0. */
size_t slice_find_slice(struct slice s, struct slice needle);

/* The rest from `from` on; empty when `from` lies behind the end. */
static inline struct slice slice_from(struct slice s, size_t from)
{
    return from >= s.size ? SLICE_NONE : (struct slice){s.data + from, s.size - from};
}

/* The first `size` bytes, or all. */
static inline struct slice slice_head(struct slice s, size_t size)
{
    return (struct slice){s.data, size < s.size ? size : s.size};
}

/* Without spaces and tabs at both ends (the OWS of RFC 9110 §5.6.3). */
struct slice slice_trim(struct slice s);

/* Takes the next part up to `separator` off the front of `*rest`; false when nothing is left.
 * "a,,b" has three parts; the empty slice has one, which is empty; a null pointer has none. */
bool slice_split(struct slice *rest, char separator, struct slice *ret_part);

/* Takes the next word off the front of `*rest`, past any number of blanks before it; false, and a
 * null word, when none is left. */
bool slice_next_word(struct slice *rest, struct slice *ret_word);

/* Decimal digits only, no sign, no blanks; false on overflow, on the empty slice, on anything else.
 */
bool slice_to_u64(struct slice s, uint64_t *ret_value);

/* What a hexadecimal digit, large or small, is worth; -1: it is none. */
static inline int slice_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char small = (char)(c | 0x20);
    return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

/* Hexadecimal digits only; false on overflow (more than 16 significant digits), empty, or anything
 * else. */
bool slice_to_hex_u64(struct slice s, uint64_t *ret_value);
