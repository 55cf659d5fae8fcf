#include "run/resolver.h"

#include <stdio.h>
#include <stdlib.h>

#include "run/loop.h"
#include "support/name_server.h"
#include "support/unit.h"

/* The first label of the question says what is answered. */
static bool answer(void *context, struct name_reply *reply)
{
    unsigned type = reply->type;
    const char *label = reply->label;
    (void)context;
    if (strncmp(label, "mute", 4) == 0)
        return false;
    if (strncmp(label, "none", 4) == 0)
        *reply->code = NAME_MISSING;
    if (strncmp(label, "broken", 6) == 0)
        *reply->code = NAME_SERVER_FAILED;
    if (strncmp(label, "two", 3) == 0 && type == NAME_A) {
        name_reply_add(reply, NAME_A, 30, "\x0a\0\0\1", 4);
        name_reply_add(reply, NAME_A, 20, "\x0a\0\0\2", 4);
    }
    if (strncmp(label, "two", 3) == 0 && type == NAME_AAAA)
        name_reply_add(reply, NAME_AAAA, 60, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
    if (strncmp(label, "hasty", 5) == 0 && type == NAME_A)
        name_reply_add(reply, NAME_A, 0, "\x0a\0\0\3", 4);
    return true;
}

static struct resolver *resolver;
static struct arena arena;

static void with_server(fiber_function *ask)
{
    struct name_server server = {.answer = answer};
    struct loop *loop;
    name_server_start(&server);
    assert_ok(loop_new(NULL, &loop));
    assert_ok(resolver_new(&resolver));
    assert_ok(resolver_use_servers(resolver, slice_of_text(server.where)));
    arena_init(&arena, 0, 0);
    assert_ok(scope_start(loop_scope(loop), ask, loop));
    loop_run(loop);
    arena_release(&arena);
    resolver_free(resolver);
    loop_free(loop);
    name_server_stop(&server);
}

static enum status resolve(const char *name, int64_t patience, struct resolved *ret_resolved)
{
    return resolver_resolve(
        resolver, slice_of_text(name), 80, &arena, loop_now() + patience, ret_resolved);
}

static bool has(const struct resolved *resolved, const char *text)
{
    struct address wanted;
    assert_ok(address_parse(slice_of_text(text), &wanted));
    for (size_t i = 0; i < resolved->count; i++)
        if (address_equal(&resolved->addresses[i], &wanted))
            return true;
    return false;
}

static void ask_server(void *argument)
{
    struct resolved r = {.count = 0};
    assert_ok(resolve("two.weir.test.", 5 * SECOND, &r));
    assert_int_equal(r.count, 3);
    assert_true(has(&r, "10.0.0.1:80"));
    assert_true(has(&r, "10.0.0.2:80"));
    assert_true(has(&r, "[fd00::1]:80"));
    assert_true(r.ttl == 20 * SECOND);
    assert_ok(resolve("hasty.weir.test.", 5 * SECOND, &r));
    assert_int_equal(r.count, 1);
    assert_true(r.ttl == RESOLVED_TTL_LEAST);
    assert_status(resolve("none.weir.test.", 5 * SECOND, &r), NOT_FOUND);
    assert_status(resolve("empty.weir.test.", 5 * SECOND, &r), NOT_FOUND);
    assert_status(resolve("broken.weir.test.", 5 * SECOND, &r), IO_ERROR);
    loop_stop(argument);
}

static void records_become_addresses(void **state)
{
    (void)state;
    with_server(ask_server);
}

static void ask_nobody(void *argument)
{
    struct resolved r = {.count = 77};
    assert_ok(resolve("127.0.0.1", SECOND, &r));
    assert_true(r.count == 1 && has(&r, "127.0.0.1:80"));
    assert_ok(resolve("::1", SECOND, &r));
    assert_true(r.count == 1 && has(&r, "[::1]:80"));
    assert_ok(resolve("localhost", SECOND, &r));
    assert_true(has(&r, "127.0.0.1:80") || has(&r, "[::1]:80"));
    r.count = 77;
    assert_status(resolve("", SECOND, &r), NOT_FOUND);
    assert_status(resolver_resolve(resolver, SLICE("a\0b"), 1, &arena, NEVER, &r), NOT_FOUND);
    char endless[300];
    memset(endless, 'a', sizeof endless);
    assert_status(
        resolver_resolve(resolver, slice_of(endless, sizeof endless), 1, &arena, NEVER, &r),
        NOT_FOUND);
    assert_int_equal(r.count, 77);
    assert_status(resolver_use_servers(resolver, SLICE("nonsense")), INVALID);
    loop_stop(argument);
}

static void some_questions_need_no_server(void **state)
{
    (void)state;
    with_server(ask_nobody);
}

static void ask_in_vain(void *argument)
{
    struct resolved r;
    (void)argument;
    assert_status(resolve("mute.weir.test.", HOUR, &r), CANCELLED);
}

static void give_up(void *argument)
{
    struct resolved r;
    struct scope scope;
    scope_init(&scope);
    assert_status(resolve("mute.weir.test.", 5 * MILLISECOND, &r), TIMEOUT);
    assert_ok(scope_start(&scope, ask_in_vain, NULL));
    fiber_yield();
    scope_end(&scope);
    loop_stop(argument); /* and both questions are still open */
}

static void whoever_asks_may_give_up(void **state)
{
    (void)state;
    with_server(give_up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_become_addresses),
        cmocka_unit_test(some_questions_need_no_server),
        cmocka_unit_test(whoever_asks_may_give_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
