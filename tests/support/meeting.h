/* Two TLS streams that face each other, for tests. */
#pragma once

#include "run/scope.h"
#include "run/tls.h"
#include "support/certificates.h"

/* One authority, a server's certificate (shop.example, *.shop.example, 127.0.0.1) and a client's,
 * for all tests of a program. */
struct pki {
    struct certificate *authority, *server, *client;
    struct tls_identity *server_identity, *client_identity;
    struct tls_authorities *authorities;
    struct tls_tickets *tickets;
};

/* The program's, from pki_setup to pki_teardown: fixtures of the whole group of its tests. */
extern struct pki *pki;

int pki_setup(void **state);
int pki_teardown(void **state);

/* Fails the test when the identity cannot be made. */
struct tls_identity *identity_of(const struct certificate *certificate);

/* One connection. To be changed after meeting_init, before meet. */
struct meeting {
    struct tls_host host;
    struct tls_server_options server;
    struct tls_client_options client;
    struct slice name; /* that the client asks for */
    struct tls_session *session;
    struct tls_client *same_client;         /* instead of one made of `client`; or NULL */
    struct slice early;                     /* that the server has read before */
    instant deadline;                       /* of both handshakes */
    void (*serve)(struct meeting *meeting); /* what the server does then; or NULL */

    struct stream *a, *b; /* the server's side, the client's */
    enum status outcome;  /* of the server's handshake */
    struct scope scope;
};

void meeting_init(struct meeting *meeting);

/* Lets both shake hands; the outcome of the client's. */
enum status meet(struct meeting *meeting);

/* Until the server has done what it does. */
void meeting_wait(struct meeting *meeting);
void part(struct meeting *meeting);

/* A server that sends everything back, to the end. */
void serve_echo(struct meeting *meeting);

/* meet, then part; both sides' outcomes. */
void assert_meeting(struct meeting *meeting, enum status client, enum status server);
