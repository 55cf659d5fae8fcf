#include "config/excerpt.h"

#include "base/utf8.h"

#define LINE_MAX_COLUMNS 100 /* of the source's line, as shown */
#define COLUMNS_BEFORE                                                         \
    60 /* at most so many of them stand before the carets, if the line is long \
        */
#define TAB_COLUMNS 4

static const struct slice replacement = SLICE_INIT("\xef\xbf\xbd");
static const struct slice ellipsis = SLICE_INIT("\xe2\x80\xa6");
static const struct slice spaces = SLICE_INIT("        ");

/* One character as it is shown. */
struct glyph {
    struct slice text;
    unsigned columns;
    bool is_safe; /* false: the replacement character stands for it */
};

static bool is_within(uint32_t code, uint32_t first, uint32_t last)
{
    return code >= first && code <= last;
}

/* How many columns terminals give to a character (Unicode's East Asian Width, in coarse ranges). */
static unsigned columns_of(uint32_t c)
{
    if (is_within(c, 0x300, 0x36f) || is_within(c, 0x200b, 0x200f) || is_within(c, 0xfe00, 0xfe0f))
        return 0;
    if (is_within(c, 0x1100, 0x115f) || is_within(c, 0x2e80, 0xa4cf) ||
        is_within(c, 0xac00, 0xd7a3) || is_within(c, 0xf900, 0xfaff) ||
        is_within(c, 0xfe30, 0xfe6f) || is_within(c, 0xff00, 0xff60) ||
        is_within(c, 0xffe0, 0xffe6) || is_within(c, 0x1f300, 0x1f64f) ||
        is_within(c, 0x1f900, 0x1f9ff) || is_within(c, 0x20000, 0x3fffd))
        return 2;
    return 1;
}

static uint32_t decode(struct slice s)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)s.data[0] & masks[s.size];
    for (size_t i = 1; i < s.size; i++)
        code = code << 6 | ((unsigned char)s.data[i] & 0x3f);
    return code;
}

/* Control characters (C0, DEL, C1), line separators and the marks that turn the direction of
 * writing. */
static bool is_steering(uint32_t c)
{
    return c < 0x20 || is_within(c, 0x7f, 0x9f) || is_within(c, 0x2028, 0x202e) ||
           is_within(c, 0x2066, 0x2069);
}

/* Takes the character at the front of `*rest`, which is not empty. */
static struct glyph take_glyph(struct slice *rest)
{
    size_t size = utf8_size(*rest);
    struct slice s = slice_head(*rest, size ? size : 1);
    *rest = slice_from(*rest, s.size);
    uint32_t code = size ? decode(s) : 0;
    if (is_steering(code))
        return (struct glyph){s, 1, false};
    return (struct glyph){s, columns_of(code), true};
}

/* Leaves out `count` characters; by bytes that begin one, since lines can be megabytes long. */
static struct slice skip_characters(struct slice s, uint32_t count)
{
    size_t i = 0;
    for (; i < s.size; i++)
        if (((unsigned char)s.data[i] & 0xc0) != 0x80 && count-- == 0)
            break;
    return slice_from(s, i);
}

static void add_spaces(size_t count, struct text *text)
{
    for (; count; count -= count < spaces.size ? count : spaces.size)
        text_add(text, slice_head(spaces, count));
}

static void add_glyph(struct glyph glyph, struct text *text)
{
    text_add(text, glyph.is_safe ? glyph.text : replacement);
}

static bool is_hidden(
    const struct hidden_place *hidden, const struct place *shown, uint32_t character)
{
    for (; hidden; hidden = hidden->next)
        if (hidden->place.source == shown->source && hidden->place.line == shown->line &&
            character >= hidden->place.column &&
            character - hidden->place.column < hidden->place.length)
            return true;
    return false;
}

struct carets {
    size_t from, count; /* columns */
};

/* Shows a line from its `skipped`-th character on, and finds where its carets stand. */
static struct carets add_line(struct slice line, uint32_t skipped, const struct place *place,
    const struct hidden_place *hidden, struct text *text)
{
    struct carets carets = {0, 0};
    struct slice rest = skip_characters(line, skipped);
    size_t column = 0;
    if (skipped) {
        text_add(text, ellipsis);
        column++;
    }
    uint32_t character = skipped + 1;
    for (; rest.size && column < LINE_MAX_COLUMNS; character++) {
        size_t before = column;
        bool is_tab = rest.data[0] == '\t';
        struct glyph glyph = take_glyph(&rest);
        if (is_hidden(hidden, place, character))
            glyph = (struct glyph){SLICE("*"), 1, true};
        column += is_tab ? TAB_COLUMNS - column % TAB_COLUMNS : glyph.columns;
        if (is_tab)
            add_spaces(column - before, text);
        else
            add_glyph(glyph, text);
        if (character < place->column)
            carets.from = column;
        else if (character - place->column < place->length)
            carets.count += column - before;
    }
    if (character <= place->column) /* behind the line's end */
        carets.from = column;
    if (rest.size)
        text_add(text, ellipsis);
    if (carets.count == 0)
        carets.count = 1;
    return carets;
}

void excerpt_add(const struct place *place, const struct hidden_place *hidden, struct slice hint,
    struct slice before_carets, struct slice after_carets, struct text *text)
{
    struct slice line = source_line(place->source, place->line);
    text_format(text, "%5u | ", place->line);
    uint32_t skipped = line.size > LINE_MAX_COLUMNS && place->column > COLUMNS_BEFORE
                           ? place->column - COLUMNS_BEFORE
                           : 0;
    struct carets carets = add_line(line, skipped, place, hidden, text);
    text_add_literal(text, "\n      | ");
    add_spaces(carets.from, text);
    text_add(text, before_carets);
    for (size_t i = 0; i < carets.count; i++)
        text_add_char(text, '^');
    text_add(text, after_carets);
    if (hint.size) {
        text_add_char(text, ' ');
        excerpt_add_safe(hint, text);
    }
    text_add_char(text, '\n');
}

void excerpt_add_safe(struct slice s, struct text *text)
{
    while (s.size)
        add_glyph(take_glyph(&s), text);
}
