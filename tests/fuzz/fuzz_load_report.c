/* Load reports in the three forms: what is taken is made of numbers that can be reckoned with. */
#include <math.h>

#include "base/must.h"
#include "service/load_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_sane(double value)
{
    must(isfinite(value) && value >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct load_report report;
    if (size == 0)
        return 0;
    arena_init(&arena, 0, 1 << 20);
    enum load_report_form form = (enum load_report_form)(data[0] % 3);
    struct slice text = slice_of((const char *)data + 1, size - 1);
    if (load_report_parse(&arena, form, text, SLICE("named_metrics.q"), &report) == OK) {
        expect_sane(report.cpu);
        expect_sane(report.memory);
        expect_sane(report.application);
        expect_sane(report.rate);
        expect_sane(report.errors);
        expect_sane(report.wanted);
    }
    arena_release(&arena);
    return 0;
}
