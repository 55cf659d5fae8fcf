#include "run/tls.h"

#include <stdlib.h>

#include "run/loop.h"
#include "run/socket.h"
#include "support/certificates.h"
#include "support/unit.h"

/* One authority, a server's certificate and a client's, for all tests. */
struct pki {
    struct certificate *authority, *server, *client;
    struct tls_identity *server_identity, *client_identity;
    struct tls_authorities *authorities;
    struct tls_tickets *tickets;
};

static struct pki *pki;

static struct tls_identity *identity_of(const struct certificate *certificate)
{
    struct tls_identity *identity;
    const char *problem = "";
    assert_ok(tls_identity_new(certificate->pem, certificate->key, &identity, &problem));
    return identity;
}

static int make_pki(void **state)
{
    const char *problem;
    (void)state;
    pki = calloc(1, sizeof *pki);
    pki->authority = certificate_make(
        &(struct certificate_recipe){.subject = "Test authority", .is_authority = true});
    pki->server = certificate_make(&(struct certificate_recipe){.subject = "shop.example",
        .names = "DNS:shop.example,DNS:*.shop.example,IP:127.0.0.1",
        .issuer = pki->authority});
    pki->client = certificate_make(&(struct certificate_recipe){.subject = "alice",
        .names = "DNS:alice.example,email:alice@shop.example",
        .issuer = pki->authority});
    pki->server_identity = identity_of(pki->server);
    pki->client_identity = identity_of(pki->client);
    assert_ok(tls_authorities_new(pki->authority->pem, &pki->authorities, &problem));
    pki->tickets = tls_tickets_new();
    return 0;
}

static int free_pki(void **state)
{
    (void)state;
    tls_identity_unref(pki->server_identity);
    tls_identity_unref(pki->client_identity);
    tls_authorities_unref(pki->authorities);
    tls_tickets_free(pki->tickets);
    certificate_free(pki->server);
    certificate_free(pki->client);
    certificate_free(pki->authority);
    free(pki);
    return 0;
}

/* --- two sides of one connection */

struct meeting {
    struct tls_host host;
    struct tls_server_options server;
    struct tls_client_options client;
    struct slice name;
    struct tls_session *session;

    struct stream *below[2];
    struct stream *a, *b; /* the server's side, the client's */
    enum status outcome;  /* of the server's handshake */
    instant deadline;
    void (*serve)(struct meeting *meeting);
    struct scope scope;
};

static void meeting_init(struct meeting *meeting)
{
    *meeting = (struct meeting){.name = SLICE("shop.example"), .deadline = NEVER};
    meeting->host.identities = &pki->server_identity;
    meeting->host.identity_count = 1;
    meeting->server.hosts = &meeting->host;
    meeting->server.host_count = 1;
    meeting->server.tickets = pki->tickets;
    meeting->client.authorities = pki->authorities;
}

static void serve(void *argument)
{
    struct meeting *meeting = argument;
    meeting->outcome = tls_handshake(meeting->a, meeting->deadline);
    if (!meeting->outcome && meeting->serve)
        meeting->serve(meeting);
}

static enum status meet(struct meeting *meeting)
{
    struct tls_server *server;
    struct tls_client *client;
    assert_ok(tls_server_new(&meeting->server, &server));
    assert_ok(tls_client_new(&meeting->client, &client));
    assert_ok(socket_pair(&meeting->below[0], &meeting->below[1]));
    assert_ok(tls_accept(meeting->below[0], server, SLICE_NONE, &meeting->a));
    assert_ok(tls_connect(meeting->below[1], client, meeting->name, meeting->session, &meeting->b));
    tls_server_unref(server);
    tls_client_unref(client);
    scope_init(&meeting->scope);
    assert_ok(scope_start(&meeting->scope, serve, meeting));
    return tls_handshake(meeting->b, meeting->deadline);
}

static void part(struct meeting *meeting)
{
    scope_end(&meeting->scope);
    stream_close(meeting->a);
    stream_close(meeting->b);
}

static void in_a_fiber(fiber_function *run)
{
    assert_ok(loop_run_main(NULL, run, NULL));
}

static void echo(struct meeting *meeting)
{
    char room[1000];
    size_t size;
    while (stream_read(meeting->a, room, sizeof room, NEVER, &size) == OK)
        assert_ok(stream_write(meeting->a, room, size, NEVER, NULL));
    assert_ok(stream_shutdown(meeting->a));
}

static void talk(void *argument)
{
    struct meeting meeting;
    char room[100];
    size_t size = 0;
    (void)argument;
    meeting_init(&meeting);
    meeting.serve = echo;
    assert_ok(meet(&meeting));
    struct iovec parts[] = {{"he", 2}, {"", 0}, {"llo", 3}};
    assert_ok(stream_writev(meeting.b, parts, 3, NEVER, &size));
    assert_int_equal(size, 5);
    assert_ok(stream_read(meeting.b, room, sizeof room, NEVER, &size));
    assert_slice(slice_of(room, size), "hello");
    assert_true(stream_is_quiet(meeting.b));
    assert_ok(stream_shutdown(meeting.b));
    assert_status(stream_read(meeting.b, room, sizeof room, NEVER, &size), END);
    assert_ok(scope_wait(&meeting.scope, NEVER));
    assert_ok(meeting.outcome);
    part(&meeting);
}

static void bytes_travel_and_end(void **state)
{
    (void)state;
    in_a_fiber(talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_travel_and_end),
    };
    return cmocka_run_group_tests(tests, make_pki, free_pki);
}
