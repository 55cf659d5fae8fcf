/* A conversation with a server of ZooKeeper that the tests play. */
#include "service/zookeeper.h"

#include "run/loop.h"
#include "run/socket.h"
#include "support/unit.h"

#define BYTES(literal) slice_of("" literal, sizeof(literal) - 1)

static struct {
    struct zookeeper zk;
    struct stream *server;
} play;

static void says(struct slice bytes)
{
    assert_ok(stream_write(play.server, bytes.data, bytes.size, NEVER, NULL));
}

/* All that has come, which begins with that. */
static void hears(struct slice wanted)
{
    char room[256];
    size_t size;
    for (size_t at = 0; at < wanted.size; at += size) {
        assert_ok(stream_read(play.server, room, wanted.size - at, NEVER, &size));
        assert_memory_equal(room, wanted.data + at, size);
    }
}

#define PING BYTES("\0\0\0\10\377\377\377\376\0\0\0\13")

/* "\0\0\0\36" is 30 ms, "\0\7\0\0" minutes. */
static enum status begin(struct slice session)
{
    struct stream *client;
    char hello[49];
    size_t size;
    assert_ok(socket_pair(&client, &play.server));
    says(BYTES("\0\0\0\10\0\0\0\0"));
    says(session);
    enum status e = zookeeper_begin(&play.zk, client, SECOND, NEVER);
    assert_ok(stream_read(play.server, hello, sizeof hello, NEVER, &size));
    assert_int_equal(size, sizeof hello);
    return e;
}

static void end(void)
{
    zookeeper_end(&play.zk);
    stream_close(play.server);
}

static void answers_in_order(void *argument)
{
    (void)argument;
    struct jute_answer answer;
    assert_ok(begin(BYTES("\0\7\0\0")));
    assert_ok(zookeeper_ask(&play.zk, JUTE_DATA, SLICE("/a")));
    assert_ok(zookeeper_ask(&play.zk, JUTE_EXISTS, SLICE("/b")));
    hears(BYTES("\0\0\0\17\0\0\0\1\0\0\0\4\0\0\0\2/a\1\0\0\0\17\0\0\0\2\0\0\0\3\0\0\0\2/b\1"));
    says(BYTES("\0\0\0\22\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0ab\0\0\0\20\377\377\377\377\0\0"));
    assert_ok(zookeeper_next(&play.zk, &answer));
    assert_int_equal(answer.number, 1);
    assert_slice(answer.body, "ab");
    says(BYTES("\0\0\0\0\0\0\0\0\0\0"));
    says(BYTES("\0\0\0\20\0\0\0\2\0\0\0\0\0\0\0\0\377\377\377\233\0\0"));
    assert_ok(zookeeper_next(&play.zk, &answer));
    assert_int_equal(answer.number, JUTE_OF_EVENT);
    assert_ok(zookeeper_next(&play.zk, &answer));
    assert_int_equal(answer.error, JUTE_NO_NODE);
    end();
}

static void what_was_not_asked(void *argument)
{
    (void)argument;
    struct jute_answer answer;
    assert_ok(begin(BYTES("\0\7\0\0")));
    assert_ok(zookeeper_ask(&play.zk, JUTE_DATA, SLICE("/a")));
    says(BYTES("\0\0\0\20\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0"));
    assert_status(zookeeper_next(&play.zk, &answer), INVALID);
    assert_string_equal(play.zk.trouble, "it answers what was not asked");
    end();
}

static void nonsense(void *argument)
{
    (void)argument;
    struct jute_answer answer;
    assert_ok(begin(BYTES("\0\7\0\0")));
    says(BYTES("\0\0\0\1x"));
    assert_status(zookeeper_next(&play.zk, &answer), INVALID);
    assert_string_equal(play.zk.trouble, "an answer makes no sense");
    says(BYTES("SSH-2.0"));
    assert_status(zookeeper_next(&play.zk, &answer), INVALID);
    stream_close(play.server);
    play.server = NULL;
    play.zk.in.size = play.zk.taken = 0;
    assert_status(zookeeper_next(&play.zk, &answer), CLOSED);
    assert_string_equal(play.zk.trouble, "it closed the connection");
    end();
}

static void no_session(void *argument)
{
    (void)argument;
    assert_status(begin(BYTES("\0\0\0\0")), INVALID);
    assert_string_equal(play.zk.trouble, "it gives no session");
    end();
}

/* Pings keep the session, until nobody answers. */
static void silence(void *argument)
{
    (void)argument;
    struct jute_answer answer;
    assert_ok(begin(BYTES("\0\0\0\36")));
    for (int i = 0; i < 3; i++) {
        says(BYTES("\0\0\0\20\377\377\377\376\0\0\0\0\0\0\0\0\0\0\0\0"));
        assert_ok(zookeeper_next(&play.zk, &answer));
        assert_int_equal(answer.number, JUTE_OF_PING);
        assert_false(play.zk.is_quiet);
    }
    assert_status(zookeeper_next(&play.zk, &answer), TIMEOUT);
    assert_string_equal(play.zk.trouble, "it says nothing any more");
    hears(PING);
    zookeeper_end(&play.zk);
    char room[256];
    size_t size;
    assert_ok(stream_read(play.server, room, sizeof room, NEVER, &size));
    assert_true(size >= 12);
    assert_memory_equal(room + size - 12, "\0\0\0\10\0\0\0\1\377\377\377\365", 12);
    stream_close(play.server);
}

static void run(fiber_function *scene)
{
    memset(&play, 0, sizeof play);
    assert_ok(loop_run_main(NULL, scene, NULL));
}

#define TEST_OF(scene)                     \
    static void test_##scene(void **state) \
    {                                      \
        (void)state;                       \
        run(scene);                        \
    }

TEST_OF(answers_in_order)
TEST_OF(what_was_not_asked)
TEST_OF(nonsense)
TEST_OF(no_session)
TEST_OF(silence)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_in_order),
        cmocka_unit_test(test_what_was_not_asked),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_no_session),
        cmocka_unit_test(test_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
