#include "support/unit.h"

void check_slice(struct slice s, struct slice expected, const char *file, int line)
{
    if (slice_equal(s, expected))
        return;
    print_error("\"%.*s\" should be \"%.*s\"\n", SLICE_ARG(s), SLICE_ARG(expected));
    _fail(file, line);
}

void check_status(enum status e, enum status expected, const char *file, int line)
{
    if (e == expected)
        return;
    print_error("%s should be %s\n", status_word(e), status_word(expected));
    _fail(file, line);
}
