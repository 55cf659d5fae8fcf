/* Requests that were collected to tell parsers apart (tests/data/README.md).
 * tests/data/http1-verdicts.txt has, for each of them, what Weir says to it; each verdict was
 * looked at once, and a change of one has to be.
 *
 * A line is: the id, then a word for each message: "ok" for one that was read to the end of its
 * body, else why not. "closed" and "incomplete" mean that the bytes end too early, "unread" that
 * the connection ends with that message, so that nobody reads what follows. `test-http-vectors
 * --print` prints the file. */
#include "http/h1.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"
#include "http/script.h"
#include "run/loop.h"
#include "support/files.h"
#include "support/unit.h"

#define VECTORS      "tests/data/http1-requests.jsonl"
#define VERDICTS     "tests/data/http1-verdicts.txt"
#define MESSAGES_MAX 8

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

/* One message: head and body. */
static enum status read_message(struct wire *connection, struct arena *arena, bool *ret_keep_alive)
{
    struct http_request request;
    struct h1_framing framing;
    struct h1_body body;
    struct slice bytes;
    enum status e = h1_read_request(connection, arena, &limits, NEVER, &request, &framing);
    if (e)
        return e;
    h1_body_init(&body, connection, &limits, &framing, arena, 0);
    do
        e = body_read(&body.body, NEVER, &bytes);
    while (e == OK);
    body_drop(&body.body);
    *ret_keep_alive = framing.keep_alive;
    return e == END ? OK : e;
}

/* The words for all messages in the bytes, cut into pieces of that size (0: whole). */
static struct slice verdict_of(struct arena *arena, struct slice bytes, size_t piece)
{
    struct script script;
    struct wire connection;
    struct text text = text_growing(0);
    enum status e = OK;
    bool keep_alive = true;
    script_init(&script, bytes, piece);
    wire_init(&connection, &script.stream);
    for (int i = 0; i < MESSAGES_MAX && e == OK && keep_alive; i++) {
        e = read_message(&connection, arena, &keep_alive);
        if (e == END)
            break;
        text_add_char(&text, ' ');
        text_add(&text, slice_of_text(status_word(e)));
    }
    if (!keep_alive && (wire_has_bytes(&connection) || script.input.size))
        text_add_literal(&text, " unread");
    struct slice verdict = arena_copy(arena, text_slice(&text));
    text_release(&text);
    script_release(&script);
    wire_release(&connection);
    return verdict;
}

struct vector {
    struct slice id, expect; /* expect: "accept", "reject" or empty */
    struct slice bytes;
};

static bool next_vector(struct arena *arena, struct slice *rest, struct vector *ret_vector)
{
    struct slice line, text;
    struct json_value *root;
    *ret_vector = (struct vector){.id = SLICE_NONE};
    if (!slice_split(rest, '\n', &line) || line.size == 0)
        return false;
    assert_ok(json_parse(arena, line, NULL, &root, NULL));
    assert_true(json_get_text(root, SLICE("id"), &ret_vector->id));
    assert_true(json_get_text(root, SLICE("b64"), &text));
    json_get_text(root, SLICE("expect"), &ret_vector->expect);
    char *bytes = arena_bytes(arena, base64_decoded_size(text.size));
    size_t size;
    assert_true(base64_decode(text, 0, bytes, &size));
    ret_vector->bytes = slice_of(bytes, size);
    return true;
}

static struct slice recorded(struct slice verdicts, struct slice id)
{
    struct slice line;
    while (slice_split(&verdicts, '\n', &line)) {
        size_t blank = slice_find(line, ' ');
        if (slice_equal(slice_head(line, blank), id))
            return slice_from(line, blank);
    }
    return SLICE_NONE;
}

static int set_up(void **state)
{
    static struct loop *loop;
    *state = &loop;
    return loop_new(NULL, &loop) != OK;
}

static int tear_down(void **state)
{
    loop_free(*(struct loop **)*state);
    return 0;
}

/* Calls `check` for each vector with its verdict. */
static unsigned each_vector(size_t piece,
    void (*check)(const struct vector *vector, struct slice verdict, void *argument),
    void *argument)
{
    struct slice file = read_test_file(VECTORS), rest = file;
    struct vector vector;
    struct arena arena;
    unsigned count = 0;
    arena_init(&arena, 0, 0);
    for (; next_vector(&arena, &rest, &vector); count++) {
        check(&vector, verdict_of(&arena, vector.bytes, piece), argument);
        arena_release(&arena);
    }
    arena_release(&arena);
    free((char *)file.data);
    return count;
}

static void check_recorded(const struct vector *vector, struct slice verdict, void *argument)
{
    struct slice want = recorded(*(struct slice *)argument, vector->id);
    if (!slice_equal(verdict, want))
        fail_msg("%.*s:%.*s, recorded is%.*s", SLICE_ARG(vector->id), SLICE_ARG(verdict),
            SLICE_ARG(want));
}

static void verdicts_are_those_on_record(void **state)
{
    struct slice verdicts = read_test_file(VERDICTS);
    (void)state;
    assert_int_equal(each_vector(0, check_recorded, &verdicts), 580);
    assert_int_equal(each_vector(1, check_recorded, &verdicts), 580);
    assert_int_equal(each_vector(7, check_recorded, &verdicts), 580);
    free((char *)verdicts.data);
}

static bool has_word(struct slice verdict, struct slice word)
{
    return slice_find_slice(verdict, word) != verdict.size;
}

static bool is_refused(struct slice verdict)
{
    return has_word(verdict, SLICE("bad-")) || has_word(verdict, SLICE("not-")) ||
           has_word(verdict, SLICE("too-"));
}

static void check_rejected(const struct vector *vector, struct slice verdict, void *argument)
{
    (void)argument;
    if (slice_equal(vector->expect, SLICE("reject")) && !is_refused(verdict) &&
        !has_word(verdict, SLICE("unread")))
        fail_msg("%.*s:%.*s", SLICE_ARG(vector->id), SLICE_ARG(verdict));
}

static void what_must_be_refused_is(void **state)
{
    (void)state;
    each_vector(0, check_rejected, NULL);
}

/* Where the parser that the vector comes from is more generous, and why Weir is not. */
static const struct {
    const char *id, *why;
} strictness[] = {
    {"llhttp-connection-7", "HTTP/1.1 without Host"},
    {"llhttp-connection-11", "HTTP/1.1 without Host"},
    {"llhttp-connection-11+host", "garbage behind the request; Weir does not upgrade"},
    {"llhttp-content-length-1", "HTTP/1.1 without Host"},
    {"llhttp-method-2+host", "CONNECT to another place than Host says"},
    {"llhttp-method-4", "CONNECT with a body"},
    {"llhttp-method-5+host", "two Host fields"},
    {"llhttp-method-13", "RTSP is not HTTP"},
    {"llhttp-sample-2", "HTTP/1.1 without Host"},
    {"llhttp-sample-6", "HTTP/1.1 without Host"},
    {"llhttp-sample-10", "HTTP/0.9"},
    {"llhttp-sample-10+host", "HTTP/0.9"},
    {"llhttp-transfer-encoding-1", "HTTP/1.1 without Host"},
    {"llhttp-transfer-encoding-2", "HTTP/1.1 without Host"},
    {"llhttp-transfer-encoding-3", "HTTP/1.1 without Host"},
    {"llhttp-transfer-encoding-7", "HTTP/1.1 without Host"},
    {"llhttp-transfer-encoding-17", "a fragment in the target"},
    {"llhttp-uri-4", "HTTP/1.1 without Host"},
    {"llhttp-uri-4+host", "target and Host name different hosts"},
    {"llhttp-uri-6", "HTTP/1.1 without Host"},
    {"llhttp-uri-8+host", "a fragment in the target"},
};

static bool is_stricter(struct slice id)
{
    for (size_t i = 0; i < sizeof strictness / sizeof *strictness; i++)
        if (slice_equal(id, slice_of_text(strictness[i].id)))
            return true;
    return false;
}

static void check_accepted(const struct vector *vector, struct slice verdict, void *argument)
{
    (void)argument;
    if (slice_equal(vector->expect, SLICE("accept")) &&
        is_refused(verdict) != is_stricter(vector->id))
        fail_msg("%.*s:%.*s", SLICE_ARG(vector->id), SLICE_ARG(verdict));
}

static void what_must_be_accepted_is(void **state)
{
    (void)state;
    each_vector(0, check_accepted, NULL);
}

static void print_verdict(const struct vector *vector, struct slice verdict, void *argument)
{
    (void)argument;
    printf("%.*s%.*s\n", SLICE_ARG(vector->id), SLICE_ARG(verdict));
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(verdicts_are_those_on_record),
        TEST(what_must_be_refused_is),
        TEST(what_must_be_accepted_is),
    };
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        void *state = NULL;
        set_up(&state);
        each_vector(0, print_verdict, NULL);
        return tear_down(&state);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
