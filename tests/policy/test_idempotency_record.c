#include "policy/idempotency_record.h"

#include "support/arena_fixture.h"
#include "support/unit.h"

#define FINGERPRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct idempotency_record record_of(enum idempotency_kind kind)
{
    return (struct idempotency_record){.kind = kind,
        .fingerprint = SLICE(FINGERPRINT),
        .token = 1763730000000001,
        .owner = UINT64_MAX,
        .begun = 1000,
        .until = 31000,
        .status = 201};
}

static void add(struct fields *fields, const char *name, const char *value)
{
    struct slice text = slice_of_text(name);
    assert_ok(fields_add(fields, field_id_of(text), text, slice_of_text(value)));
}

static void write_answer(struct arena *from, struct text *text, const struct fields *without)
{
    struct idempotency_record record = record_of(IDEMPOTENCY_DONE);
    struct fields fields, trailers;
    fields_init(&fields, from);
    fields_init(&trailers, from);
    add(&fields, "Content-Type", "text/plain");
    add(&fields, "Content-Length", "5");
    add(&fields, "X-Gone", "1");
    add(&fields, "Set-Cookie", "a=1");
    add(&fields, "Set-Cookie", "b=2");
    fields_remove(&fields, SLICE("X-Gone"));
    add(&trailers, "grpc-status", "0");
    idempotency_record_write(&record, text);
    idempotency_record_write_fields(&fields, without, text);
    idempotency_record_write_fields(&trailers, NULL, text);
    text_add_literal(text, "hello");
}

static void an_answer_comes_back_as_it_was(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    struct idempotency_record record;
    struct fields fields;
    write_answer(&arena, &text, NULL);
    assert_ok(idempotency_record_parse(text_slice(&text), &record));
    assert_int_equal(record.kind, IDEMPOTENCY_DONE);
    assert_slice(record.fingerprint, FINGERPRINT);
    assert_int_equal(record.token, 1763730000000001);
    assert_int_equal(record.owner, UINT64_MAX);
    assert_int_equal(record.begun, 1000);
    assert_int_equal(record.until, 31000);
    assert_int_equal(record.status, 201);
    assert_slice(record.body, "hello");
    fields_init(&fields, &arena);
    assert_ok(idempotency_record_read_fields(record.fields, &fields));
    assert_int_equal(fields.count, 3);
    assert_slice(fields_value(&fields, FIELD_CONTENT_TYPE), "text/plain");
    assert_slice(fields_combined(&fields, SLICE("set-cookie")), "a=1, b=2");
    fields_init(&fields, &arena);
    assert_ok(idempotency_record_read_fields(record.trailers, &fields));
    assert_slice(fields_value(&fields, FIELD_GRPC_STATUS), "0");
    assert_int_equal(record.trailers.size, 4 + strlen("grpc-status") + 4 + 1);
    text_release(&text);
}

static void what_others_had_said_is_not_kept(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    struct idempotency_record record;
    struct fields without, fields;
    fields_init(&without, &arena);
    add(&without, "Set-Cookie", "a=1");
    add(&without, "Content-Type", "text/html");
    write_answer(&arena, &text, &without);
    assert_ok(idempotency_record_parse(text_slice(&text), &record));
    fields_init(&fields, &arena);
    assert_ok(idempotency_record_read_fields(record.fields, &fields));
    assert_slice(fields_combined(&fields, SLICE("set-cookie")), "b=2");
    assert_slice(fields_value(&fields, FIELD_CONTENT_TYPE), "text/plain");
    text_release(&text);
}

static void a_running_one_has_no_answer(void **state)
{
    char room[200];
    struct text text = text_fixed(room, sizeof room);
    struct idempotency_record record = record_of(IDEMPOTENCY_RUNNING), again;
    (void)state;
    idempotency_record_write(&record, &text);
    assert_ok(idempotency_record_parse(text_slice(&text), &again));
    assert_int_equal(again.kind, IDEMPOTENCY_RUNNING);
    text_add_char(&text, 'x');
    assert_status(idempotency_record_parse(text_slice(&text), &again), INVALID);
}

/* Parsing a damaged one never yields something that was not written. */
static void nothing_shorter_is_a_record(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    struct idempotency_record record;
    write_answer(&arena, &text, NULL);
    size_t body = slice_find_slice(text_slice(&text), SLICE("hello"));
    for (size_t size = 0; size < body; size++)
        assert_status(idempotency_record_parse(slice_of(text.data, size), &record), INVALID);
    text_release(&text);
}

static void damage_is_seen(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        char byte;
    } damages[] = {{0, 'X'}, {4, 'x'}, {5, 'G'}, {69 + 16, '\xff'}, {101, '\xff'}, {103, '\xff'}};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct text text = text_growing(0);
        struct idempotency_record record;
        write_answer(&arena, &text, NULL);
        text.data[damages[i].at] = damages[i].byte;
        assert_status(idempotency_record_parse(text_slice(&text), &record), INVALID);
        text_release(&text);
    }
}

static void fields_that_no_message_has_are_refused(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    struct idempotency_record record;
    write_answer(&arena, &text, NULL);
    size_t at = slice_find_slice(text_slice(&text), SLICE("text/plain"));
    text.data[at + 4] = '\n';
    assert_status(idempotency_record_parse(text_slice(&text), &record), INVALID);
    text_release(&text);
}

static void records_have_few_fields(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct text text = text_growing(0);
        struct idempotency_record record = record_of(IDEMPOTENCY_DONE);
        struct fields fields;
        fields_init(&fields, &arena);
        for (size_t i = 0; i < 4096 + more; i++)
            add(&fields, "a", "b");
        idempotency_record_write(&record, &text);
        idempotency_record_write_fields(&fields, NULL, &text);
        idempotency_record_write_fields(NULL, NULL, &text);
        assert_status(idempotency_record_parse(text_slice(&text), &record), more ? INVALID : OK);
        text_release(&text);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_comes_back_as_it_was),
        TEST(what_others_had_said_is_not_kept),
        cmocka_unit_test(a_running_one_has_no_answer),
        TEST(nothing_shorter_is_a_record),
        TEST(damage_is_seen),
        TEST(fields_that_no_message_has_are_refused),
        TEST(records_have_few_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
