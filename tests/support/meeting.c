#include "support/meeting.h"

#include <stdlib.h>

#include "run/socket.h"
#include "support/unit.h"

struct tls_identity *identity_of(const struct certificate *certificate)
{
    struct tls_identity *identity;
    const char *problem = "";
    assert_ok(tls_identity_new(certificate->pem, certificate->key, &identity, &problem));
    return identity;
}

struct pki *pki;

int pki_setup(void **state)
{
    const char *problem;
    (void)state;
    pki = calloc(1, sizeof *pki);
    assert_non_null(pki);
    pki->authority = certificate_make(
        &(struct certificate_recipe){.subject = "Test authority", .is_authority = true});
    pki->server = certificate_make(&(struct certificate_recipe){.subject = "shop.example",
        .names = "DNS:shop.example,DNS:*.shop.example,IP:127.0.0.1",
        .issuer = pki->authority});
    pki->client = certificate_make(&(struct certificate_recipe){.subject = "alice",
        .names = "DNS:alice.example,email:alice@shop.example,URI:spiffe://shop/alice,IP:::1",
        .issuer = pki->authority});
    pki->server_identity = identity_of(pki->server);
    pki->client_identity = identity_of(pki->client);
    assert_ok(tls_authorities_new(pki->authority->pem, &pki->authorities, &problem));
    pki->tickets = tls_tickets_new();
    return 0;
}

int pki_teardown(void **state)
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

void meeting_init(struct meeting *meeting)
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

enum status meet(struct meeting *meeting)
{
    struct tls_server *server;
    struct tls_client *client;
    struct stream *below[2];
    assert_ok(tls_server_new(&meeting->server, &server));
    client = meeting->same_client ? tls_client_ref(meeting->same_client) : NULL;
    if (!client)
        assert_ok(tls_client_new(&meeting->client, &client));
    assert_ok(socket_pair(&below[0], &below[1]));
    assert_ok(tls_accept(below[0], server, meeting->early, &meeting->a));
    assert_ok(tls_connect(below[1], client, meeting->name, meeting->session, &meeting->b));
    tls_server_unref(server);
    tls_client_unref(client);
    scope_init(&meeting->scope);
    assert_ok(scope_start(&meeting->scope, serve, meeting));
    return tls_handshake(meeting->b, meeting->deadline);
}

void meeting_wait(struct meeting *meeting)
{
    assert_ok(scope_wait(&meeting->scope, NEVER));
}

void part(struct meeting *meeting)
{
    scope_end(&meeting->scope);
    stream_close(meeting->a);
    stream_close(meeting->b);
}

void serve_echo(struct meeting *meeting)
{
    char room[1000];
    size_t size;
    while (stream_read(meeting->a, room, sizeof room, NEVER, &size) == OK)
        assert_ok(stream_write(meeting->a, room, size, NEVER, NULL));
    assert_ok(stream_shutdown(meeting->a));
}

void assert_meeting(struct meeting *meeting, enum status client, enum status server)
{
    assert_status(meet(meeting), client);
    meeting_wait(meeting);
    assert_status(meeting->outcome, server);
    part(meeting);
}
