#include "run/splice.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

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
    enum { LENT_MAX = 3 };
    struct splice *lent[LENT_MAX], *none = NULL;
    size_t size;
    line_init(&line);
    char bytes[LENT_MAX + 1] = {0};
    assert_ok(stream_write(line.source, bytes, sizeof bytes, NEVER, NULL));
    for (int i = 0; i < LENT_MAX; i++)
        assert_ok(splice_read(line.from, 1, NEVER, &lent[i], &size));
    assert_status(splice_read(line.from, 1, NEVER, &none, &size), FULL);
    assert_null(none);
    for (int i = 0; i < LENT_MAX; i++)
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
    assert_ok(loop_run_main(&(struct loop_options){.splices_max = 3}, take_all_pipes, NULL));
}

static void count_call(void *argument)
{
    ++*(int *)argument;
}

/* A splice does not say whether it took the last byte. Who rests must not be called for nothing. */
static void rest_after_splice(void *argument)
{
    (void)argument;
    struct line line;
    struct splice *splice;
    size_t size;
    int calls = 0;
    line_init(&line);
    assert_ok(stream_write(line.source, "hello", 5, NEVER, NULL));
    assert_ok(splice_read(line.from, 5, NEVER, &splice, &size));
    splice_give(splice);
    stream_park(line.from, count_call, &calls);
    assert_ok(fiber_sleep_until(loop_now() + 5 * MILLISECOND));
    assert_int_equal(calls, 0);
    assert_ok(stream_write(line.source, "again", 5, NEVER, NULL));
    assert_ok(fiber_sleep_until(loop_now() + 5 * MILLISECOND));
    assert_int_equal(calls, 1);
    assert_ok(splice_read(line.from, 3, NEVER, &splice, &size));
    splice_give(splice);
    stream_park(line.from, count_call, &calls);
    assert_ok(fiber_sleep_until(loop_now() + 5 * MILLISECOND));
    assert_int_equal(calls, 2);
    line_release(&line);
}

static void who_rests_after_a_splice_is_called_for_bytes_alone(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, rest_after_splice, NULL));
}

static uint64_t lent(void)
{
    struct loop_counters counters;
    loop_read_counters(loop_current(), &counters);
    return counters.splices_lent;
}

static void move_until_cancelled(void *argument)
{
    struct line *line = argument;
    enum status e;
    do {
        struct splice *splice;
        size_t size;
        e = splice_read(line->from, LONG, NEVER, &splice, &size);
        if (e)
            break;
        e = splice_write(line->to, splice, NEVER, &size);
        line->moved += size;
        splice_give(splice);
    } while (!e);
    assert_status(e, CANCELLED);
}

/* Nobody reads, so that bytes are stuck in the pipe. They must not come out anywhere else. */
static void cancel_halfway(void *argument)
{
    (void)argument;
    struct line line, other;
    struct splice *splice;
    size_t size;
    char room[16];
    line_init(&line);
    assert_ok(scope_start(&line.scope, feed, &line));
    assert_ok(scope_start(&line.scope, move_until_cancelled, &line));
    for (size_t before = 1; before != line.moved;) {
        before = line.moved;
        assert_ok(fiber_sleep_until(loop_now() + 5 * MILLISECOND));
    }
    assert_int_equal(lent(), 1);
    line_release(&line);
    assert_int_equal(lent(), 0);
    line_init(&other);
    assert_ok(stream_write(other.source, "clean", 5, NEVER, NULL));
    assert_ok(splice_read(other.from, LONG, NEVER, &splice, &size));
    assert_ok(splice_write(other.to, splice, NEVER, NULL));
    splice_give(splice);
    assert_ok(stream_read(other.drain, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 5);
    assert_memory_equal(room, "clean", 5);
    line_release(&other);
}

static void bytes_that_are_stuck_go_with_their_pipe(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, cancel_halfway, NULL));
}

/* Without descriptors there are no pipes, and for a while none is tried. */
static void run_out_of_descriptors(void *argument)
{
    (void)argument;
    struct line line;
    struct splice *splice = NULL;
    struct rlimit usual, none;
    size_t size;
    line_init(&line);
    assert_ok(stream_write(line.source, "hello", 5, NEVER, NULL));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = usual;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_status(splice_read(line.from, 9, NEVER, &splice, &size), FULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_status(splice_read(line.from, 9, NEVER, &splice, &size), FULL);
    assert_null(splice);
    assert_ok(fiber_sleep_until(loop_now() + 1100 * MILLISECOND));
    assert_ok(splice_read(line.from, 9, NEVER, &splice, &size));
    assert_int_equal(size, 5);
    splice_give(splice);
    line_release(&line);
}

static void a_system_without_pipes_is_not_asked_all_the_time(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, run_out_of_descriptors, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_comes_through),
        cmocka_unit_test(no_more_is_taken_than_asked_for),
        cmocka_unit_test(a_reader_that_stalls_or_leaves_is_noticed),
        cmocka_unit_test(pipes_are_bounded),
        cmocka_unit_test(who_rests_after_a_splice_is_called_for_bytes_alone),
        cmocka_unit_test(bytes_that_are_stuck_go_with_their_pipe),
        cmocka_unit_test(a_system_without_pipes_is_not_asked_all_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
