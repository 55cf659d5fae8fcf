/* How a server chooses by name: certificates, sessions, challenges; and what it staples. */
#include <openssl/ocsp.h>
#include <stdlib.h>

#include "run/loop.h"
#include "run/socket.h"
#include "run/tls_core.h"
#include "support/meeting.h"
#include "support/on_loop.h"
#include "support/unit.h"

static struct certificate *plain, *secret, *rsa;
static struct tls_identity *plain_identity, *secret_identity, *rsa_identity;

static int make_pki(void **state)
{
    pki_setup(state);
    plain = certificate_make(&(struct certificate_recipe){.subject = "plain",
        .names = "DNS:plain.example,DNS:*.wild.example",
        .issuer = pki->authority});
    secret = certificate_make(&(struct certificate_recipe){
        .subject = "secret", .names = "DNS:secret.example", .issuer = pki->authority});
    rsa = certificate_make(&(struct certificate_recipe){.subject = "rsa",
        .names = "DNS:plain.example",
        .rsa = 2048,
        .issuer = pki->authority,
        .responder = "http://ocsp.example/"});
    plain_identity = identity_of(plain);
    secret_identity = identity_of(secret);
    rsa_identity = identity_of(rsa);
    return 0;
}

static int drop_pki(void **state)
{
    tls_identity_unref(plain_identity);
    tls_identity_unref(secret_identity);
    tls_identity_unref(rsa_identity);
    certificate_free(plain);
    certificate_free(secret);
    certificate_free(rsa);
    return pki_teardown(state);
}

static void expect_subject(struct meeting *meeting, const char *name, const char *subject)
{
    meeting->name = slice_of_text(name);
    meeting->client.trusts_anyone = true;
    assert_ok(meet(meeting));
    const struct tls_certificate *shown = tls_certificate(meeting->b);
    assert_non_null(shown);
    assert_slices(shown->subject, slice_of_text(subject));
    part(meeting);
}

static void choose(void *argument)
{
    struct slice other[] = {SLICE("OTHER.example")};
    struct tls_identity *both[] = {plain_identity, rsa_identity};
    struct tls_host hosts[] = {
        {.identities = &pki->server_identity, .identity_count = 1},
        {.identities = both, .identity_count = 2},
        {.names = other, .name_count = 1, .identities = &secret_identity, .identity_count = 1},
    };
    struct meeting meeting;
    (void)argument;
    meeting_init(&meeting);
    meeting.server.hosts = hosts;
    meeting.server.host_count = 3;
    expect_subject(&meeting, "plain.example", "CN=plain");
    expect_subject(&meeting, "PLAIN.example", "CN=plain");
    expect_subject(&meeting, "a.wild.example", "CN=plain");
    expect_subject(&meeting, "b.a.wild.example", "CN=shop.example");
    expect_subject(&meeting, "wild.example", "CN=shop.example");
    expect_subject(&meeting, "other.example", "CN=secret");
    expect_subject(&meeting, "secret.example", "CN=shop.example");
    expect_subject(&meeting, "127.0.0.1", "CN=shop.example");
    meeting.server.is_strict = true;
    expect_subject(&meeting, "plain.example", "CN=plain");
    meeting.name = SLICE("secret.example");
    assert_status(meet(&meeting), TLS_ALERT);
    assert_int_equal(tls_alert(meeting.b), 112);
    part(&meeting);
}

static void a_name_chooses_its_host(void **state)
{
    (void)state;
    in_a_fiber(choose);
}

/* --- sessions */

static bool resumes(struct meeting *meeting, const char *name)
{
    struct tls_facts facts;
    char byte;
    size_t size;
    meeting->name = slice_of_text(name);
    enum status e = meet(meeting);
    meeting_wait(meeting);
    bool is_resumed = false;
    if (!e && !meeting->outcome) {
        assert_ok(stream_write(meeting->a, "x", 1, NEVER, NULL)); /* behind the ticket */
        assert_ok(stream_read(meeting->b, &byte, 1, NEVER, &size));
        assert_true(tls_facts(meeting->a, &facts));
        is_resumed = facts.is_resumed;
    }
    part(meeting);
    return is_resumed;
}

/* The session of a host that wants no certificate is no way into one that does. */
static void resume(void *argument)
{
    struct tls_host hosts[] = {
        {.identities = &plain_identity, .identity_count = 1},
        {.identities = &secret_identity,
            .identity_count = 1,
            .client = TLS_REQUIRED,
            .authorities = pki->authorities},
    };
    struct tls_session session = {0};
    struct meeting meeting;
    (void)argument;
    meeting_init(&meeting);
    meeting.server.hosts = hosts;
    meeting.server.host_count = 2;
    meeting.session = &session;
    assert_ok(tls_client_new(&meeting.client, &meeting.same_client));
    assert_false(resumes(&meeting, "plain.example"));
    assert_true(resumes(&meeting, "plain.example"));
    assert_ok(tls_tickets_rotate(pki->tickets));
    assert_true(resumes(&meeting, "plain.example")); /* sealed by the key before */
    assert_false(resumes(&meeting, "secret.example"));
    assert_status(meeting.outcome, TLS_CERTIFICATE);
    for (int i = 0; i < TLS_TICKET_KEYS; i++)
        assert_ok(tls_tickets_rotate(pki->tickets));
    assert_false(resumes(&meeting, "plain.example")); /* that key is forgotten */
    assert_ok(meeting.outcome);
    meeting.server.tickets = NULL;
    assert_false(resumes(&meeting, "plain.example"));
    tls_session_release(&session);
    tls_client_unref(meeting.same_client);
}

static void sessions_are_resumed_where_they_began(void **state)
{
    (void)state;
    in_a_fiber(resume);
}

/* A certificate that was shown counts in the sessions that follow. */
static void resume_with_certificate(void *argument)
{
    struct tls_session session = {0};
    struct meeting meeting;
    (void)argument;
    meeting_init(&meeting);
    meeting.host.client = TLS_REQUIRED;
    meeting.host.authorities = pki->authorities;
    meeting.client.identity = pki->client_identity;
    meeting.session = &session;
    assert_ok(tls_client_new(&meeting.client, &meeting.same_client));
    assert_false(resumes(&meeting, "shop.example"));
    meeting.name = SLICE("shop.example");
    assert_ok(meet(&meeting));
    meeting_wait(&meeting);
    struct tls_facts facts;
    assert_true(tls_facts(meeting.a, &facts));
    assert_true(facts.is_resumed && facts.has_certificate);
    assert_slice(tls_certificate(meeting.a)->subject, "CN=alice");
    part(&meeting);
    tls_session_release(&session);
    tls_client_unref(meeting.same_client);
}

static void a_resumed_session_keeps_its_certificate(void **state)
{
    (void)state;
    in_a_fiber(resume_with_certificate);
}

static void shake_hands(void *argument)
{
    struct meeting *meeting = argument;
    meeting->outcome = tls_handshake(meeting->a, NEVER);
}

/* What a client sends before the handshake has ended could be sent again by anybody, so it is not
 * taken: the session goes on, and the client has to say it again. */
static void send_early_data(void *argument)
{
    struct tls_session session = {0};
    struct meeting meeting;
    struct stream *below[2];
    struct tls_server *server;
    struct tls_facts facts;
    char room[100];
    size_t size;
    (void)argument;
    meeting_init(&meeting);
    meeting.session = &session;
    assert_ok(tls_client_new(&meeting.client, &meeting.same_client));
    assert_false(resumes(&meeting, "shop.example"));
    assert_int_equal(SSL_SESSION_get_max_early_data(session.session), 0); /* not offered */
    assert_true(SSL_SESSION_set_max_early_data(session.session, 1000));
    assert_ok(tls_server_new(&meeting.server, &server));
    assert_ok(socket_pair(&below[0], &below[1]));
    assert_ok(tls_accept(below[0], server, SLICE_NONE, &meeting.a));
    assert_ok(
        tls_connect(below[1], meeting.same_client, SLICE("shop.example"), &session, &meeting.b));
    SSL *client = tls_of(meeting.b)->ssl;
    assert_true(SSL_write_early_data(client, "early", 5, &size));
    scope_init(&meeting.scope);
    assert_ok(scope_start(&meeting.scope, shake_hands, &meeting));
    assert_ok(tls_handshake(meeting.b, NEVER));
    meeting_wait(&meeting);
    assert_ok(meeting.outcome);
    assert_int_equal(SSL_get_early_data_status(client), SSL_EARLY_DATA_REJECTED);
    assert_true(tls_facts(meeting.a, &facts) && facts.is_resumed);
    assert_ok(stream_write(meeting.b, "late", 4, NEVER, NULL));
    assert_ok(stream_read(meeting.a, room, sizeof room, NEVER, &size));
    assert_slice(slice_of(room, size), "late");
    part(&meeting);
    tls_session_release(&session);
    tls_client_unref(meeting.same_client);
    tls_server_unref(server);
}

static void early_data_is_not_taken(void **state)
{
    (void)state;
    in_a_fiber(send_early_data);
}

/* --- challenges */

static struct tls_identity *answer(void *argument, struct slice name)
{
    return slice_equal(name, *(struct slice *)argument) ? tls_identity_ref(secret_identity) : NULL;
}

static void challenge(void *argument)
{
    struct slice acme[] = {SLICE("acme-tls/1"), SLICE("h2")}, ours[] = {SLICE("h2")};
    struct slice name = SLICE("proved.example");
    struct meeting meeting;
    struct tls_facts facts;
    (void)argument;
    meeting_init(&meeting);
    meeting.server.protocols = ours;
    meeting.server.protocol_count = 1;
    meeting.server.challenge = answer;
    meeting.server.challenge_argument = &name;
    meeting.client.trusts_anyone = true;
    meeting.client.protocols = acme;
    meeting.client.protocol_count = 1;
    meeting.name = name;
    assert_ok(meet(&meeting));
    meeting_wait(&meeting);
    assert_true(tls_facts(meeting.a, &facts));
    assert_true(facts.is_challenge);
    assert_slice(facts.protocol, "acme-tls/1");
    assert_slice(tls_certificate(meeting.b)->subject, "CN=secret");
    part(&meeting);
    meeting.name = SLICE("other.example");
    assert_meeting(&meeting, TLS_ALERT, TLS_PROTOCOL);
    meeting.client.protocol_count = 2; /* nobody who means it asks so */
    assert_ok(meet(&meeting));
    meeting_wait(&meeting);
    assert_true(tls_facts(meeting.a, &facts));
    assert_false(facts.is_challenge);
    assert_slice(facts.protocol, "h2");
    part(&meeting);
}

static void challenges_are_answered(void **state)
{
    (void)state;
    in_a_fiber(challenge);
}

/* --- identities */

static const char *problem_of(struct slice chain, struct slice key)
{
    struct tls_identity *identity;
    const char *problem = "";
    assert_status(tls_identity_new(chain, key, &identity, &problem), INVALID);
    return problem;
}

static void identities_are_checked(void **state)
{
    struct certificate *weak = certificate_make(&(struct certificate_recipe){.rsa = 1024});
    char *encrypted = certificate_encrypted_key(plain);
    size_t count;
    (void)state;
    assert_string_equal(
        problem_of(plain->pem, secret->key), "the key does not belong to the certificate");
    assert_string_equal(problem_of(plain->pem, slice_of_text(encrypted)),
        "the key is encrypted; write it without a password");
    assert_string_equal(
        problem_of(SLICE_NONE, plain->key), "there is no certificate in it, or it is malformed");
    assert_string_equal(
        problem_of(plain->pem, plain->pem), "there is no private key in it, or it is malformed");
    assert_string_equal(problem_of(weak->pem, weak->key), "the RSA key has fewer than 2048 bits");
    const struct slice *names = tls_identity_names(plain_identity, &count);
    assert_int_equal(count, 2);
    assert_slice(names[0], "plain.example");
    assert_slice(names[1], "*.wild.example");
    assert_true(tls_identity_until(plain_identity) - tls_identity_from(plain_identity) > 86400);
    assert_slice(tls_identity_responder(rsa_identity), "http://ocsp.example/");
    assert_slice(tls_identity_responder(plain_identity), "");
    free(encrypted);
    certificate_free(weak);
}

/* --- what the authority says */

/* An OCSP response about `certificate`, signed by the authority. */
static struct slice respond(const struct certificate *certificate, int verdict, long hours)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), certificate->x509, pki->authority->x509);
    ASN1_TIME *begins = X509_gmtime_adj(NULL, hours < 0 ? 2 * hours * 3600 : -60);
    ASN1_TIME *ends = X509_gmtime_adj(NULL, hours * 3600), *revoked = X509_gmtime_adj(NULL, -60);
    unsigned char *bytes = NULL;
    OCSP_basic_add1_status(
        basic, id, verdict, 0, verdict == V_OCSP_CERTSTATUS_REVOKED ? revoked : NULL, begins, ends);
    assert_true(OCSP_basic_sign(
        basic, pki->authority->x509, pki->authority->pkey, EVP_sha256(), NULL, OCSP_NOCERTS));
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    int size = i2d_OCSP_RESPONSE(response, &bytes);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(begins);
    ASN1_TIME_free(ends);
    ASN1_TIME_free(revoked);
    return slice_of((char *)bytes, (size_t)size);
}

static void assert_staple(
    struct tls_identity *identity, struct slice response, enum status expected)
{
    int64_t until = 0;
    assert_status(tls_identity_staple(identity, response, &until), expected);
    assert_true((until > 0) == (expected == OK));
    OPENSSL_free((char *)response.data);
}

static void staples_are_checked(void **state)
{
    char *question = NULL;
    size_t size = 0;
    (void)state;
    char room[8192];
    int chain_size = snprintf(room, sizeof room, "%s%s", plain->pem.data, pki->authority->pem.data);
    struct tls_identity *identity;
    const char *problem;
    assert_ok(
        tls_identity_new(slice_of(room, (size_t)chain_size), plain->key, &identity, &problem));
    assert_ok(tls_identity_question(identity, &question, &size));
    assert_true(size > 20);
    free(question);
    assert_staple(identity, respond(plain, V_OCSP_CERTSTATUS_GOOD, 24), OK);
    assert_staple(identity, respond(plain, V_OCSP_CERTSTATUS_REVOKED, 24), INVALID);
    assert_staple(identity, respond(plain, V_OCSP_CERTSTATUS_GOOD, -24), INVALID);
    assert_staple(identity, respond(secret, V_OCSP_CERTSTATUS_GOOD, 24), INVALID);
    assert_status(tls_identity_staple(identity, SLICE("garbage"), NULL), INVALID);
    assert_ok(tls_identity_staple(identity, SLICE_NONE, NULL));
    assert_status(tls_identity_question(plain_identity, &question, &size), INVALID);
    tls_identity_unref(identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_chooses_its_host),
        cmocka_unit_test(sessions_are_resumed_where_they_began),
        cmocka_unit_test(a_resumed_session_keeps_its_certificate),
        cmocka_unit_test(early_data_is_not_taken),
        cmocka_unit_test(challenges_are_answered),
        cmocka_unit_test(identities_are_checked),
        cmocka_unit_test(staples_are_checked),
    };
    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
