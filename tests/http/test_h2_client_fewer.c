/* A service that takes fewer requests at a time than it did when they were begun. */
#include "http/h2_client_scene.h"

#define HUGE ((size_t)1 << 20)

/* Fills all that lies between: the session cannot write, so what is begun waits in it. */
static void begin_while_nothing_moves(struct scene *scene, struct h2_call waiting[2])
{
    static char much[HUGE];
    begin_scene(scene, 0);
    SAY(scene, NGHTTP2_SETTINGS, 0, 0, "\0\3\0\0\0\144\0\4\0\20\0\0"); /* 100; 1 MiB */
    SAY(scene, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\20\0\0");
    settle();
    assert_ok(begin_call(scene, &scene->call, true));
    h2_call_offer(&scene->call, slice_of(much, HUGE), true, NULL);
    settle();
    for (int i = 0; i < 2; i++)
        assert_ok(begin_call(scene, &waiting[i], false));
    SAY(scene, NGHTTP2_SETTINGS, 0, 0, "\0\3\0\0\0\1"); /* one at a time */
    settle();
    assert_int_equal(h2_client_room(scene->client), 0);
    for (size_t heard = 0; heard < HUGE; heard += frame.size)
        hear(scene, NGHTTP2_DATA);
}

/* What was begun waits in the session for its turn; nothing of it is lost. */
static void a_peer_that_takes_fewer_in_between(struct scene *scene)
{
    struct h2_call waiting[2];
    begin_while_nothing_moves(scene, waiting);
    settle();
    assert_false(waiting[0].is_begun);
    SAY(scene, NGHTTP2_HEADERS, END_ALL, 1, STATUS_200);
    assert_ok(read_head(scene));
    for (uint32_t i = 0; i < 2; i++) {
        struct http_response response;
        struct h1_framing framing;
        hear(scene, NGHTTP2_HEADERS);
        assert_int_equal(frame.stream, 3 + 2 * i);
        SAY(scene, NGHTTP2_HEADERS, END_ALL, frame.stream, STATUS_200);
        assert_ok(h2_call_read_head(&waiting[i], loop_now() + PATIENCE, &response, &framing));
        h2_call_end(&waiting[i]);
    }
    end_scene(scene);
}

/* The connection ends before their turn: the peer has not seen them, so they can be sent again. */
static void those_that_still_wait_are_unseen(struct scene *scene)
{
    struct h2_call waiting[2];
    struct http_response response;
    struct h1_framing framing;
    begin_while_nothing_moves(scene, waiting);
    assert_ok(stream_shutdown(scene->peer));
    for (int i = 0; i < 2; i++) {
        enum status e = h2_call_read_head(&waiting[i], loop_now() + PATIENCE, &response, &framing);
        assert_status(e, CLOSED);
        assert_true(h2_call_is_unseen(&waiting[i]));
        h2_call_end(&waiting[i]);
    }
    assert_false(h2_call_is_unseen(&scene->call));
    end_scene(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_peer_that_takes_fewer_in_between), TEST(those_that_still_wait_are_unseen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
