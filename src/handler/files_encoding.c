#include "handler/files_encoding.h"

#include "http/fields.h"

#define QUALITY_MAX 1000

static const struct {
    struct slice token, suffix;
} encodings[] = {
    [ENCODING_IDENTITY] = {SLICE_INIT("identity"), SLICE_INIT("")},
    [ENCODING_BROTLI] = {SLICE_INIT("br"), SLICE_INIT(".br")},
    [ENCODING_GZIP] = {SLICE_INIT("gzip"), SLICE_INIT(".gz")},
    [ENCODING_ZSTD] = {SLICE_INIT("zstd"), SLICE_INIT(".zst")},
};

struct slice encoding_token(enum encoding encoding)
{
    return encodings[encoding].token;
}

struct slice encoding_suffix(enum encoding encoding)
{
    return encodings[encoding].suffix;
}

/* "0", "1", "0.5", "1.000": thousandths; -1 when it is none (RFC 9110 §12.4.2). */
static int parse_quality(struct slice text)
{
    if (text.size == 0 || text.size > 5 || (text.data[0] != '0' && text.data[0] != '1') ||
        (text.size > 1 && text.data[1] != '.'))
        return -1;
    int quality = text.data[0] == '1' ? QUALITY_MAX : 0, place = QUALITY_MAX / 10;
    for (size_t i = 2; i < text.size; i++, place /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        quality += (text.data[i] - '0') * place;
    }
    return quality > QUALITY_MAX ? -1 : quality;
}

/* Takes "gzip;q=0.5" apart; false when it is malformed. */
static bool parse_member(struct slice member, struct slice *ret_token, int *ret_quality)
{
    size_t semicolon = slice_find(member, ';');
    *ret_token = slice_trim(slice_head(member, semicolon));
    *ret_quality = QUALITY_MAX;
    if (!field_name_is_valid(*ret_token)) /* the same grammar: a token */
        return false;
    if (semicolon == member.size)
        return true;
    struct slice weight = slice_trim(slice_from(member, semicolon + 1));
    if (weight.size < 2 || (weight.data[0] | 0x20) != 'q' || weight.data[1] != '=')
        return false;
    *ret_quality = parse_quality(slice_from(weight, 2));
    return *ret_quality >= 0;
}

static bool means(struct slice token, enum encoding encoding)
{
    return slice_equal_nocase(token, encodings[encoding].token) ||
           (encoding == ENCODING_GZIP && slice_equal_nocase(token, SLICE("x-gzip")));
}

struct encoding_wishes encoding_read_wishes(struct slice accept_encoding)
{
    int quality[ENCODING_COUNT] = {-1, -1, -1, -1}, others = -1, q;
    struct slice member, token;
    while (field_list_next(&accept_encoding, &member)) {
        if (!parse_member(member, &token, &q))
            continue;
        if (slice_equal(token, SLICE("*")))
            others = q;
        for (int i = 0; i < ENCODING_COUNT; i++)
            if (means(token, (enum encoding)i))
                quality[i] = q;
    }
    struct encoding_wishes wishes;
    for (int i = 0; i < ENCODING_COUNT; i++)
        wishes.quality[i] = quality[i] >= 0 ? quality[i] : others > 0 ? others : 0;
    if (quality[ENCODING_IDENTITY] < 0 && others != 0)
        wishes.quality[ENCODING_IDENTITY] = 1;
    return wishes;
}

unsigned encoding_choose(const struct encoding_wishes *wishes, const enum encoding *offered,
    unsigned count, enum encoding ret_order[ENCODING_COUNT])
{
    unsigned chosen = 0;
    for (unsigned i = 0; i < count && chosen < ENCODING_COUNT; i++) {
        int quality = wishes->quality[offered[i]];
        if (quality == 0 || quality < wishes->quality[ENCODING_IDENTITY])
            continue;
        unsigned at = chosen++;
        for (; at > 0 && wishes->quality[ret_order[at - 1]] < quality; at--)
            ret_order[at] = ret_order[at - 1];
        ret_order[at] = offered[i];
    }
    return chosen;
}
