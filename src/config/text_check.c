#include "config/text_check.h"

#include "base/utf8.h"

#define BYTE_ORDER_MARK 0xfeff

static uint32_t decode(struct slice s)
{
    uint32_t code = (unsigned char)s.data[0] & (0xff >> (s.size + 1));
    for (size_t i = 1; i < s.size; i++)
        code = code << 6 | ((unsigned char)s.data[i] & 0x3f);
    return code;
}

/* Next line, paragraph, C1 controls, byte order marks inside, and what is no character. */
static bool is_unwanted(uint32_t code)
{
    return code < 0xa0 || code == 0x2028 || code == 0x2029 || code == BYTE_ORDER_MARK ||
           (code & 0xfffe) == 0xfffe;
}

/* The place of a byte; its line up to there is well-formed. */
static struct place place_of(const struct source *source, struct slice text, size_t at)
{
    uint32_t line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text.data[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.data[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    return (struct place){source, line, column, 1};
}

static enum status complain_of_byte(
    struct diagnostics *diagnostics, struct place place, unsigned char c)
{
    if (c == 0)
        return diagnostics_error(
            diagnostics, place, SLICE(""), "this is not a text file: a NUL byte");
    if (c == '\r')
        return diagnostics_error(diagnostics, place, SLICE("end lines with a line feed"),
            "a carriage return alone does not end a line");
    if (c >= 0x80)
        return diagnostics_error(
            diagnostics, place, SLICE("save the file as UTF-8"), "the byte 0x%02X is not UTF-8", c);
    return diagnostics_error(diagnostics, place,
        SLICE("in double quotes it can be written as \\x.."),
        "the control character 0x%02X is not allowed", c);
}

/* Whether the ASCII byte at `i` may stand there. */
static bool is_allowed(struct slice text, size_t i)
{
    char c = text.data[i];
    if (c == '\r')
        return i + 1 < text.size && text.data[i + 1] == '\n';
    return (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t';
}

enum status text_check(
    const struct source *source, struct diagnostics *diagnostics, struct slice *text)
{
    struct slice s = *text;
    if (slice_has_prefix(s, SLICE("\xff\xfe")) || slice_has_prefix(s, SLICE("\xfe\xff")))
        return diagnostics_error(diagnostics, (struct place){source, 1, 1, 1},
            SLICE("save the file as UTF-8"), "this file is UTF-16");
    if (slice_has_prefix(s, SLICE("\xef\xbb\xbf")))
        s = slice_of(s.data + 3, s.size - 3);
    for (size_t i = 0; i < s.size;) {
        if ((unsigned char)s.data[i] < 0x80) {
            if (!is_allowed(s, i))
                return complain_of_byte(
                    diagnostics, place_of(source, s, i), (unsigned char)s.data[i]);
            i++;
            continue;
        }
        struct slice rest = slice_from(s, i);
        size_t size = utf8_size(rest);
        if (size == 0)
            return complain_of_byte(diagnostics, place_of(source, s, i), (unsigned char)s.data[i]);
        uint32_t code = decode(slice_head(rest, size));
        if (is_unwanted(code))
            return diagnostics_error(diagnostics, place_of(source, s, i),
                SLICE("in double quotes it can be written as \\u...."),
                "the character U+%04X is not allowed", code);
        i += size;
    }
    *text = s;
    return OK;
}
