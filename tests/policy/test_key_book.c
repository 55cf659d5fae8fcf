#include "policy/key_book.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "support/unit.h"

#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"

static struct key_book *book;
static char room[300];
static struct text trouble;

static int set_up(void **state)
{
    (void)state;
    book = NULL;
    trouble = text_fixed(room, sizeof room - 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    key_book_unref(book);
    return 0;
}

static enum status read_text(const char *text)
{
    text_clear(&trouble);
    enum status e = key_book_read(slice_of_text(text), &trouble, &book);
    room[trouble.size] = '\0';
    return e;
}

static const struct consumer *find(unsigned char last)
{
    unsigned char digest[KEY_DIGEST_SIZE] = {0};
    digest[KEY_DIGEST_SIZE - 1] = last;
    return key_book_find(book, digest);
}

static void what_a_line_says_becomes_claims(void **state)
{
    (void)state;
    assert_ok(read_text("# consumers\n\n\r\n \t\r\n  # more of them\n"
                        " {\"name\": \"acme\", \"sha256\": \"" ZEROS "01\", \"plan\": \"pro\", "
                        "\"tags\": [\"a\", \"b\"]}\r\n"
                        "{\"sha256\":\"" ZEROS "fF\",\"exp\":7,\"name\":\"acme\"}"));
    assert_int_equal(key_book_count(book), 2);
    const struct consumer *first = find(1), *second = find(255);
    assert_non_null(first);
    assert_non_null(second);
    assert_null(find(2));
    struct slice text;
    assert_true(json_get_text(first->claims, SLICE("sub"), &text));
    assert_slice(text, "acme");
    assert_true(json_get_text(first->claims, SLICE("plan"), &text));
    assert_slice(text, "pro");
    assert_int_equal(json_array_of(first->claims, "tags")->count, 2);
    assert_null(json_get(first->claims, SLICE("sha256")));
    assert_null(json_get(first->claims, SLICE("name")));
    assert_int_equal(first->claims->count, 3);
    assert_true(first->until == INT64_MAX);
    assert_int_equal(second->until, 7);
    assert_int_equal(second->claims->count, 2);
}

static void large_objects_are_claims_too(void **state)
{
    (void)state;
    assert_ok(read_text("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"name\":\"n\","
                        "\"sha256\":\"" ZEROS "01\",\"z\":1}"));
    struct slice text;
    assert_true(json_get_text(find(1)->claims, SLICE("sub"), &text));
    assert_null(json_get(find(1)->claims, SLICE("sha256")));
    assert_non_null(json_get(find(1)->claims, SLICE("z")));
}

static void what_is_wrong_is_said_by_line(void **state)
{
    static const struct {
        const char *text, *trouble;
    } rows[] = {
        {"{", "line 1 is not JSON"},
        {"\n[]", "line 2 is no object"},
        {"{\"sha256\":\"" ZEROS "00\"}", "line 1 lacks a \"name\""},
        {"{\"name\":\"\",\"sha256\":\"" ZEROS "00\"}", "line 1 lacks a \"name\""},
        {"{\"name\":\"a\"}", "line 1 lacks a \"sha256\" of 64 hexadecimal digits"},
        {"{\"name\":\"a\",\"sha256\":\"" ZEROS "0\"}",
            "line 1 lacks a \"sha256\" of 64 hexadecimal digits"},
        {"{\"name\":\"a\",\"sha256\":\"" ZEROS "0000\"}",
            "line 1 lacks a \"sha256\" of 64 hexadecimal digits"},
        {"{\"name\":\"a\",\"sha256\":\"" ZEROS "0x\"}",
            "line 1 lacks a \"sha256\" of 64 hexadecimal digits"},
        {"{\"name\":\"a\",\"sub\":\"b\",\"sha256\":\"" ZEROS "00\"}",
            "line 1 has a \"sub\", which is what \"name\" becomes"},
        {"{\"name\":\"a\",\"exp\":\"x\",\"sha256\":\"" ZEROS "00\"}",
            "line 1 has an \"exp\" that is no number of seconds since 1970"},
        {"{\"name\":\"a\",\"sha256\":\"" ZEROS "00\"}\n{\"name\":\"b\",\"sha256\":\"" ZEROS "00\"}",
            "line 2 has a key that an earlier line has"},
        {"{\"name\":\"a\",\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,"
         "\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"sha256\":\"" ZEROS "00\"}",
            "line 1 has too many members"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_status(read_text(rows[i].text), INVALID);
        assert_string_equal(room, rows[i].trouble);
    }
    assert_ok(read_text(""));
    assert_int_equal(key_book_count(book), 0);
}

static enum status read_line(int name_size, int members)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    char name[KEY_NAME_MAX + 1];
    struct text text = text_growing(0);
    memset(name, 'n', sizeof name);
    text_format(&text, "{\"name\":\"%.*s\",\"sha256\":\"" ZEROS "00\"", name_size, name);
    for (int i = 2; i < members; i++)
        text_format(&text, ",\"%c\":1", letters[i]);
    text_add(&text, slice_of("}", 2)); /* with its NUL */
    enum status e = read_text(text.data);
    text_release(&text);
    key_book_unref(book);
    book = NULL;
    return e;
}

static void bounds_are_met_exactly(void **state)
{
    (void)state;
    assert_ok(read_line(KEY_NAME_MAX, KEY_MEMBERS_MAX));
    assert_status(read_line(KEY_NAME_MAX + 1, 2), INVALID);
    assert_string_equal(room, "line 1 lacks a \"name\"");
    assert_status(read_line(1, KEY_MEMBERS_MAX + 1), INVALID);
    assert_string_equal(room, "line 1 has too many members");
}

static void a_book_lives_as_long_as_anyone_reads_it(void **state)
{
    (void)state;
    assert_ok(read_text("{\"name\":\"a\",\"sha256\":\"" ZEROS "01\"}"));
    key_book_ref(book);
    key_book_unref(book);
    assert_non_null(find(1));
    key_book_unref(NULL);
}

/* How long a look-up takes among many, and what they take; printed, since machines differ. */
static void many_keys_are_found(void **state)
{
    enum { MANY = 100000 };
    struct text text = text_growing(0);
    unsigned char digest[EVP_MAX_MD_SIZE];
    char key[32];
    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "key number %d", i);
        assert_int_equal(EVP_Q_digest(NULL, "SHA256", NULL, key, strlen(key), digest, NULL), 1);
        text_format(&text, "{\"name\":\"consumer %d\",\"plan\":\"pro\",\"sha256\":\"", i);
        for (int b = 0; b < KEY_DIGEST_SIZE; b++)
            text_format(&text, "%02x", digest[b]);
        text_add_literal(&text, "\"}\n");
    }
    instant before = clock_now();
    assert_ok(key_book_read(text_slice(&text), &trouble, &book));
    print_message(
        "%d keys read in %lld ms\n", MANY, (long long)((clock_now() - before) / MILLISECOND));
    assert_int_equal(key_book_count(book), MANY);
    before = clock_now();
    digest[KEY_DIGEST_SIZE - 1] ^= 1;
    for (int i = 0; i < MANY; i++) {
        digest[0] = (unsigned char)i;
        digest[1] = (unsigned char)(i >> 8);
        assert_null(key_book_find(book, digest));
    }
    print_message("%lld ns a look-up\n", (long long)((clock_now() - before) / MANY));
    text_release(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_line_says_becomes_claims),
        TEST(large_objects_are_claims_too),
        TEST(what_is_wrong_is_said_by_line),
        TEST(bounds_are_met_exactly),
        TEST(a_book_lives_as_long_as_anyone_reads_it),
        TEST(many_keys_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
