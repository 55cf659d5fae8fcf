/* Endpoints that are names: found through a DNS server of the test's own, whose answers change. */
#include "run/loop.h"
#include "run/resolver.h"
#include "service/plane.h"
#include "support/service_rig.h"
#include "support/on_loop.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* Answers every question for an IPv4 address with one, or that there is no such name. */
struct server {
    pthread_t thread;
    int descriptor;
    _Atomic uint32_t address; /* host order; 0: no such name */
    _Atomic int questions;
};

struct fixture {
    struct rig *rig;
    struct server server;
};

/* The question sent back, with a record behind it (TTL 0). */
static size_t make_reply(unsigned char *packet, size_t question_end, uint32_t address)
{
    bool is_for_v4 = packet[question_end - 3] == 1;
    packet[2] |= 0x80;
    memset(packet + 6, 0, 6);
    if (address == 0)
        packet[3] = 3;
    if (address == 0 || !is_for_v4)
        return question_end;
    const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4,
        (unsigned char)(address >> 24), (unsigned char)(address >> 16),
        (unsigned char)(address >> 8), (unsigned char)address};
    memcpy(packet + question_end, record, sizeof record);
    packet[7] = 1;
    return question_end + sizeof record;
}

static void *serve(void *argument)
{
    struct server *server = argument;
    for (;;) {
        unsigned char packet[600];
        struct sockaddr_in from;
        socklen_t from_size = sizeof from;
        ssize_t size =
            recvfrom(server->descriptor, packet, 512, 0, (struct sockaddr *)&from, &from_size);
        if (size < 17)
            return NULL;
        size_t end = 12;
        while (packet[end])
            end += packet[end] + 1u;
        size_t reply = make_reply(packet, end + 5, server->address);
        server->questions++;
        sendto(server->descriptor, packet, reply, 0, (struct sockaddr *)&from, from_size);
    }
}

static struct sockaddr_in address_of(const struct server *server)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getsockname(server->descriptor, (struct sockaddr *)&address, &size);
    return address;
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    f->server.address = INADDR_LOOPBACK;
    f->server.descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->server.descriptor, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(pthread_create(&f->server.thread, NULL, serve, &f->server), 0);
    f->rig = rig_new();
    char where[32];
    snprintf(where, sizeof where, "127.0.0.1:%d", ntohs(address_of(&f->server).sin_port));
    assert_ok(resolver_use_servers(plane_resolver(f->rig->plane), slice_of_text(where)));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rig_free(f->rig);
    struct sockaddr_in address = address_of(&f->server);
    sendto(f->server.descriptor, "end", 3, 0, (struct sockaddr *)&address, sizeof address);
    pthread_join(f->server.thread, NULL);
    close(f->server.descriptor);
    test_free(f);
    return 0;
}

static const char *port_of(const struct fake *fake)
{
    return strchr(fake->text, ':') + 1;
}

/* Waits until a new question was asked and answered, which the TTL of a second lets happen. */
static void wait_for_question(struct fixture *f)
{
    int before = f->server.questions;
    rig_until(f->server.questions > before);
    fiber_sleep_until(loop_now() + 20 * MILLISECOND);
}

static void test_addresses_change(void **state)
{
    struct fixture *f = *state;
    struct rig *rig = f->rig;
    char where[64];
    struct fake *first = rig_fake(rig, serve_politely, NULL);
    snprintf(where, sizeof where, "127.0.0.2:%s", port_of(first));
    struct fake *second = rig_fake_at(rig, where, serve_politely, NULL);
    rig_service(rig, "shop.test:%s", port_of(first));
    rig_expect(rig, "hello"); /* waits for the first answer */
    assert_slices(rig->x.facts.endpoint, slice_of_text(first->text));
    assert_ok(rig_get(rig, "/")); /* not read to its end yet when the address changes */
    f->server.address = INADDR_LOOPBACK + 1;
    wait_for_question(f);
    assert_slice(rig_body(rig), "hello");
    rig_expect(rig, "hello");
    assert_slices(rig->x.facts.endpoint, slice_of_text(second->text));
    rig_until(first->open == 0);
    assert_null(strstr(rig_describe(rig), first->text));
}

static void test_last_addresses_stay_when_the_name_goes(void **state)
{
    struct fixture *f = *state;
    struct rig *rig = f->rig;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "shop.test:%s", port_of(fake));
    rig_expect(rig, "hello");
    f->server.address = 0;
    wait_for_question(f);
    rig_expect(rig, "hello");
}

static void test_a_name_that_comes_later(void **state)
{
    struct fixture *f = *state;
    struct rig *rig = f->rig;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    f->server.address = 0;
    rig_service(rig, "shop.test:%s", port_of(fake));
    assert_status(rig_get(rig, "/"), UPSTREAM_DNS);
    f->server.address = INADDR_LOOPBACK;
    instant deadline = loop_now() + 4 * SECOND;
    while (rig_get(rig, "/") != OK && loop_now() < deadline)
        fiber_sleep_until(loop_now() + 50 * MILLISECOND);
    assert_slice(rig_body(rig), "hello");
}

static void test_a_reload_keeps_what_was_resolved(void **state)
{
    struct fixture *f = *state;
    struct rig *rig = f->rig;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "shop.test:%s", port_of(fake));
    rig_expect(rig, "hello");
    int questions = f->server.questions;
    rig_service(rig, "{at: \"shop.test:%s\", timeout: 3s}", port_of(fake));
    rig_expect(rig, "hello");
    assert_int_equal(f->server.questions, questions);
    assert_int_equal(fake->connections, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_addresses_change),
        TEST(test_last_addresses_stay_when_the_name_goes),
        TEST(test_a_name_that_comes_later),
        TEST(test_a_reload_keeps_what_was_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
