#include "run/splice.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "run/loop.h"
#include "run/socket.h"
#include "support/unit.h"

#define LONG ((size_t)3 * 1024 * 1024)

/* Two connections with a splicer between them: bytes go into `source`, and come out of `drain`. */
struct line {
    struct stream *source, *from, *to, *drain;
    struct scope scope;
    size_t moved;
};

static void line_init(struct line *line)
{
    *line = (struct line){0};
    scope_init(&line->scope);
    assert_ok(socket_pair(&line->source, &line->from));
    assert_ok(socket_pair(&line->to, &line->drain));
    assert_true(splice_is_possible(line->from, line->to));
}

static void line_release(struct line *line)
{
    scope_end(&line->scope);
    stream_close(line->source);
    stream_close(line->from);
    stream_close(line->to);
    stream_close(line->drain);
}

static void feed(void *argument)
{
    struct line *line = argument;
    char *data = malloc(LONG);
    for (size_t i = 0; i < LONG; i++)
        data[i] = (char)(i % 251);
    enum status e = stream_write(line->source, data, LONG, NEVER, NULL);
    if (e != CANCELLED) {
        assert_ok(e);
        assert_ok(stream_shutdown(line->source));
    }
    free(data);
}

static void move_all(void *argument)
{
    struct line *line = argument;
    for (;;) {
        struct splice *splice;
        size_t read, written;
        enum status e = splice_read(line->from, LONG, NEVER, &splice, &read);
        if (e) {
            assert_status(e, END);
            break;
        }
        assert_ok(splice_write(line->to, splice, NEVER, &written));
        assert_int_equal(written, read);
        assert_int_equal(splice_size(splice), 0);
        splice_give(splice);
        line->moved += written;
    }
    assert_ok(stream_shutdown(line->to));
}

static void receive_all(void *argument)
{
    (void)argument;
    struct line line;
    size_t total = 0, size;
    char *room = malloc(100000);
    line_init(&line);
    assert_ok(scope_start(&line.scope, feed, &line));
    assert_ok(scope_start(&line.scope, move_all, &line));
    while (stream_read(line.drain, room, 100000, NEVER, &size) == OK)
        for (size_t i = 0; i < size; i++, total++)
            if (room[i] != (char)(total % 251))
                fail_msg("byte %zu is wrong", total);
    assert_int_equal(total, LONG);
    assert_int_equal(line.moved, LONG);
    free(room);
    line_release(&line);
}

static void every_byte_comes_through(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, receive_all, NULL));
}

static void read_little(void *argument)
{
    (void)argument;
    struct line line;
    struct splice *splice = NULL;
    size_t size;
    char room[8];
    line_init(&line);
    assert_status(splice_read(line.from, 10, loop_now() + MILLISECOND, &splice, &size), TIMEOUT);
    assert_null(splice);
    assert_ok(stream_write(line.source, "hello", 5, NEVER, NULL));
    assert_ok(splice_read(line.from, 3, NEVER, &splice, &size));
    assert_int_equal(size, 3);
    assert_false(stream_is_quiet(line.from));
    assert_ok(splice_write(line.to, splice, NEVER, NULL));
    splice_give(splice);
    assert_ok(splice_read(line.from, 2, NEVER, &splice, &size));
    assert_true(stream_is_quiet(line.from)); /* the last byte is gone */
    assert_int_equal(size, 2);
    assert_ok(splice_write(line.to, splice, NEVER, NULL));
    splice_give(splice);
    assert_ok(stream_read(line.drain, room, sizeof room, NEVER, &size));
    assert_memory_equal(room, "hello", 5);
    line_release(&line);
}

static void no_more_is_taken_than_asked_for(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, read_little, NULL));
}

static void write_into_the_void(void *argument)
{
    (void)argument;
    struct line line;
    size_t read, written, total = 0;
    enum status e;
    line_init(&line);
    assert_ok(scope_start(&line.scope, feed, &line));
    do {
        struct splice *splice;
        assert_ok(splice_read(line.from, LONG, NEVER, &splice, &read));
        e = splice_write(line.to, splice, loop_now() + 5 * MILLISECOND, &written);
        total += written;
        assert_int_equal(splice_size(splice), read - written);
        splice_give(splice);
    } while (e == OK);
    assert_status(e, TIMEOUT);
    assert_in_range(total, 1, LONG - 1);
    stream_close(line.drain);
    line.drain = NULL;
    struct splice *splice;
    assert_ok(splice_read(line.from, LONG, NEVER, &splice, &read));
    assert_status(splice_write(line.to, splice, NEVER, &written), CLOSED);
    splice_give(splice);
    line_release(&line);
}

static void a_reader_that_stalls_or_leaves_is_noticed(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_ok(loop_run_main(NULL, write_into_the_void, NULL));
}

static void take_all_pipes(void *argument)
{
    (void)argument;
    struct line line;
    struct splice *lent[SPLICES_MAX], *none = NULL;
    size_t size;
    line_init(&line);
    char bytes[SPLICES_MAX + 1] = {0};
    assert_ok(stream_write(line.source, bytes, sizeof bytes, NEVER, NULL));
    for (int i = 0; i < SPLICES_MAX; i++)
        assert_ok(splice_read(line.from, 1, NEVER, &lent[i], &size));
    assert_status(splice_read(line.from, 1, NEVER, &none, &size), FULL);
    assert_null(none);
    for (int i = 0; i < SPLICES_MAX; i++)
        splice_give(lent[i]); /* with a byte in it: thrown away */
    assert_ok(splice_read(line.from, 9, NEVER, &none, &size));
    assert_int_equal(size, 1);
    splice_give(none);
    splice_give(NULL);
    line_release(&line);
}

static void pipes_are_bounded(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, take_all_pipes, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_comes_through),
        cmocka_unit_test(no_more_is_taken_than_asked_for),
        cmocka_unit_test(a_reader_that_stalls_or_leaves_is_noticed),
        cmocka_unit_test(pipes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
