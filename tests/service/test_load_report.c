/* Load reports in their forms. */
#include "service/load_report.h"

#include "support/unit.h"

static enum status parse(
    enum load_report_form form, const char *text, const char *wanted, struct load_report *report)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    enum status e =
        load_report_parse(&arena, form, slice_of_text(text), slice_of_text(wanted), report);
    arena_release(&arena);
    return e;
}

static struct load_report parsed(enum load_report_form form, const char *text, const char *wanted)
{
    struct load_report report = {0};
    assert_ok(parse(form, text, wanted, &report));
    return report;
}

static void test_text(void **state)
{
    (void)state;
    struct load_report report = parsed(LOAD_REPORT_TEXT,
        "cpu_utilization=0.3, mem_utilization=0.8,application_utilization=1.5,rps_fractional=12e1,"
        "eps=2,named_metrics.queue=7,new_metric=9",
        "named_metrics.queue");
    assert_true(report.cpu == 0.3 && report.memory == 0.8 && report.application == 1.5);
    assert_true(report.rate == 120 && report.errors == 2 && report.wanted == 7);
    report = parsed(LOAD_REPORT_TEXT, "cpu_utilization:0.5,rps:3", "cpu_utilization");
    assert_true(report.cpu == 0.5 && report.rate == 3 && report.wanted == 0.5);
    assert_true(parsed(LOAD_REPORT_TEXT, "utilization.gpu=0.25", "utilization.gpu").wanted == 0.25);
}

static void test_json(void **state)
{
    (void)state;
    struct load_report report = parsed(LOAD_REPORT_JSON,
        "{\"cpu_utilization\": 0.3, \"memUtilization\": \"0.8\", \"rpsFractional\": 120,"
        " \"eps\": 2, \"named_metrics\": {\"queue\": 7, \"other\": 1}, \"newField\": [1]}",
        "named_metrics.queue");
    assert_true(report.cpu == 0.3 && report.memory == 0.8 && report.rate == 120);
    assert_true(report.errors == 2 && report.wanted == 7 && report.application == 0);
}

/* 1: 0.3; 6: 120; 8: {"queue": 7}; 3: varint 150 and an unknown field 20 */
#define CPU   "CTMzMzMzM9M/"
#define OTHER "MQAAAAAAAF5AQhAKBXF1ZXVlEQAAAAAAABxAoAEB"

static void test_binary(void **state)
{
    (void)state;
    assert_true(parsed(LOAD_REPORT_BINARY, CPU, "").cpu == 0.3);
    struct load_report report = parsed(LOAD_REPORT_BINARY, CPU OTHER, "named_metrics.queue");
    assert_true(report.cpu == 0.3 && report.rate == 120 && report.wanted == 7);
    assert_true(parsed(LOAD_REPORT_BINARY, "GJYB", "").rate == 150);
}

static void test_nonsense(void **state)
{
    (void)state;
    static const struct {
        enum load_report_form form;
        const char *text;
    } bad[] = {{LOAD_REPORT_TEXT, "cpu_utilization"}, {LOAD_REPORT_TEXT, "cpu_utilization=x"},
        {LOAD_REPORT_TEXT, "cpu_utilization=nan"}, {LOAD_REPORT_TEXT, "cpu_utilization=0x1"},
        {LOAD_REPORT_TEXT, "cpu_utilization=-1"}, {LOAD_REPORT_TEXT, "eps=1e999"},
        {LOAD_REPORT_TEXT, "eps=1,"}, {LOAD_REPORT_TEXT, ""}, {LOAD_REPORT_JSON, "[1]"},
        {LOAD_REPORT_JSON, "{\"eps\": {}}"}, {LOAD_REPORT_JSON, "{\"named_metrics\": 1}"},
        {LOAD_REPORT_JSON, "{"}, {LOAD_REPORT_BINARY, "?"}, {LOAD_REPORT_BINARY, "CTMz"},
        {LOAD_REPORT_BINARY, "QgUK"}, {LOAD_REPORT_BINARY, "AAAA"}};
    struct load_report report;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_status(parse(bad[i].form, bad[i].text, "", &report), INVALID);
}

static struct load_report read_field(const char *name, const char *value, bool is_there)
{
    struct arena arena;
    struct fields fields;
    struct load_report report = {0};
    arena_init(&arena, 0, 0);
    fields_init(&fields, &arena);
    assert_ok(fields_add(&fields, FIELD_OTHER, SLICE("x-other"), SLICE("1")));
    assert_ok(fields_add(&fields, FIELD_OTHER, slice_of_text(name), slice_of_text(value)));
    assert_status(load_report_read(&fields, SLICE_NONE, &report), is_there ? OK : NOT_FOUND);
    load_report_remove(&fields);
    assert_status(load_report_read(&fields, SLICE_NONE, &report), NOT_FOUND);
    assert_non_null(fields_value_named(&fields, SLICE("x-other")).data);
    arena_release(&arena);
    return report;
}

static void test_fields(void **state)
{
    (void)state;
    assert_true(read_field("Endpoint-Load-Metrics", "TEXT cpu_utilization=0.3", true).cpu == 0.3);
    assert_true(read_field("endpoint-load-metrics", "cpu_utilization=0.3", true).cpu == 0.3);
    assert_true(read_field("endpoint-load-metrics", "JSON {\"eps\": 4}", true).errors == 4);
    assert_true(read_field("endpoint-load-metrics", "BIN " CPU, true).cpu == 0.3);
    assert_true(read_field("endpoint-load-metrics-bin", CPU, true).cpu == 0.3);
    (void)read_field("x-endpoint-load-metrics", CPU, false);
}

static void test_metrics(void **state)
{
    (void)state;
    assert_true(load_report_has_metric(SLICE("application_utilization")));
    assert_true(load_report_has_metric(SLICE("named_metrics.queue")));
    assert_false(load_report_has_metric(SLICE("named_metrics.")));
    assert_false(load_report_has_metric(SLICE("cpu")));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_text),
        cmocka_unit_test(test_json), cmocka_unit_test(test_binary), cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_fields), cmocka_unit_test(test_metrics)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
