/* Reads any bytes as each value with a unit; what is accepted is written and reads back as the
 * same. */
#include "base/must.h"
#include "config/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 128

static void check_duration(struct slice s, struct text *text)
{
    int64_t once, twice;
    const char *problem;
    if (unit_parse_duration(s, &once, &problem))
        return;
    must(once >= 0);
    unit_format_duration(once, text);
    must(unit_parse_duration(text_slice(text), &twice, &problem) == OK && once == twice);
}

static void check_size(struct slice s, struct text *text)
{
    int64_t once, twice;
    const char *problem;
    if (unit_parse_size(s, &once, &problem))
        return;
    must(once >= 0);
    unit_format_size(once, text);
    must(unit_parse_size(text_slice(text), &twice, &problem) == OK && once == twice);
}

static void check_rate(struct slice s, struct text *text)
{
    struct rate once, twice;
    const char *problem;
    if (unit_parse_rate(s, &once, &problem))
        return;
    must(once.count >= 0 && once.per > 0);
    unit_format_rate(once, text);
    must(unit_parse_rate(text_slice(text), &twice, &problem) == OK && once.count == twice.count &&
         once.per == twice.per);
}

static void check_share(struct slice s, struct text *text)
{
    double once, twice;
    const char *problem;
    if (unit_parse_share(s, &once, &problem))
        return;
    must(once >= 0 && once <= 1);
    unit_format_share(once, text);
    must(unit_parse_share(text_slice(text), &twice, &problem) == OK);
    must(once - twice < 1e-9 && twice - once < 1e-9);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct slice, struct text *) = {
        check_duration, check_size, check_rate, check_share};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        char room[TEXT_MAX];
        struct text text = text_fixed(room, sizeof room);
        checks[i](slice_of((const char *)data, size), &text);
        must(!text.failed);
    }
    return 0;
}
