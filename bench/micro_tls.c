/* What TLS costs by itself: handshakes, small messages, idle connections. The clients are OpenSSL's
 * own, in a second process.
 *
 *     micro_tls [connections] */
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "run/loop.h"
#include "run/socket.h"
#include "run/tls.h"

#define MESSAGES 200000

struct run {
    int count;
    int (*pairs)[2];
    struct tls_server *server;
    struct stream **streams;
    int resumed;
};

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long resident(void)
{
    long pages = 0, all = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    must(file && fscanf(file, "%ld %ld", &all, &pages) == 2);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static struct slice take(BIO *bio)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    return slice_of(data, (size_t)size);
}

static struct tls_identity *make_identity(void)
{
    struct tls_identity *identity;
    const char *problem;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    must(key && x509);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 86400);
    X509_set_pubkey(x509, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
        (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    must(X509_sign(x509, key, EVP_sha256()));
    BIO *pem = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509(pem, x509));
    must(PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL));
    must(tls_identity_new(take(pem), take(secret), &identity, &problem) == OK);
    BIO_free(pem);
    BIO_free(secret);
    X509_free(x509);
    EVP_PKEY_free(key);
    return identity;
}

/* --- the clients */

static SSL_SESSION *newest;

static int keep(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(newest);
    newest = session;
    return 1;
}

static SSL *greet(SSL_CTX *context, int descriptor, bool resumes)
{
    char byte;
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, descriptor);
    if (resumes && newest)
        SSL_set_session(ssl, newest);
    must(SSL_connect(ssl) == 1);
    must(SSL_read(ssl, &byte, 1) == 1);
    return ssl;
}

/* The first half shakes hands in full, the second resumes; then the last one talks. */
static void be_clients(const struct run *run)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    char message[100] = "x";
    SSL *last = NULL;
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(context, keep);
    for (int i = 0; i < run->count; i++)
        last = greet(context, run->pairs[i][1], i >= run->count / 2);
    for (int i = 0; i < MESSAGES; i++) {
        must(SSL_write(last, message, sizeof message) == sizeof message);
        must(SSL_read(last, message, sizeof message) == sizeof message);
    }
    char byte;
    must(read(run->pairs[0][1], &byte, 1) >= 0);
    _exit(0);
}

/* --- the server */

static void ignore(void *argument)
{
    (void)argument;
}

static void accept_one(struct run *run, int i)
{
    struct stream *below;
    struct tls_facts facts;
    must(socket_adopt(run->pairs[i][0], NULL, &below) == OK);
    must(tls_accept(below, run->server, SLICE_NONE, &run->streams[i]) == OK);
    must(tls_handshake(run->streams[i], NEVER) == OK);
    must(stream_write(run->streams[i], "!", 1, NEVER, NULL) == OK);
    tls_facts(run->streams[i], &facts);
    run->resumed += facts.is_resumed;
    if (i != run->count - 1)
        stream_park(run->streams[i], ignore, NULL);
}

static double accept_some(struct run *run, int from, int to)
{
    double began = cpu_now();
    for (int i = from; i < to; i++)
        accept_one(run, i);
    return (cpu_now() - began) / (to - from) * 1e6;
}

static void serve(void *argument)
{
    struct run *run = argument;
    char room[1000];
    size_t size;
    for (int i = 0; i < run->count; i++)
        close(run->pairs[i][1]);
    int half = run->count / 2;
    accept_some(run, 0, 100);
    long before = resident();
    double full = accept_some(run, 100, half);
    long after = resident();
    int resumed = run->resumed;
    double short_ones = accept_some(run, half, run->count);
    printf("full handshake      %8.1f us\n", full);
    printf("resumed handshake   %8.1f us (%d of %d)\n", short_ones, run->resumed - resumed,
        run->count - half);
    printf("idle connection     %8.0f bytes\n", (double)(after - before) / (half - 100));
    printf("idle, resumed       %8.0f bytes\n", (double)(resident() - after) / (run->count - half));
    struct stream *last = run->streams[run->count - 1];
    double began = cpu_now();
    for (int i = 0; i < MESSAGES; i++) {
        must(stream_read(last, room, sizeof room, NEVER, &size) == OK);
        must(stream_write(last, room, size, NEVER, NULL) == OK);
    }
    printf("message back        %8.2f us\n", (cpu_now() - began) / MESSAGES * 1e6);
    for (int i = 0; i < run->count; i++) {
        if (i != run->count - 1)
            stream_unpark(run->streams[i]);
        stream_close(run->streams[i]);
    }
}

int main(int argc, char **argv)
{
    struct run run = {.count = argc > 1 ? atoi(argv[1]) : 4000};
    run.pairs = calloc((size_t)run.count, sizeof *run.pairs);
    run.streams = calloc((size_t)run.count, sizeof(struct stream *));
    for (int i = 0; i < run.count; i++)
        must(socketpair(AF_UNIX, SOCK_STREAM, 0, run.pairs[i]) == 0);
    pid_t child = fork();
    if (child == 0)
        be_clients(&run);
    for (int i = 0; i < run.count; i++)
        must(fcntl(run.pairs[i][0], F_SETFL, O_NONBLOCK) == 0);
    struct tls_identity *identity = make_identity();
    struct tls_tickets *tickets = tls_tickets_new();
    struct tls_host host = {.identities = &identity, .identity_count = 1};
    struct tls_server_options options = {.hosts = &host, .host_count = 1, .tickets = tickets};
    must(tls_server_new(&options, &run.server) == OK);
    must(loop_run_main(NULL, serve, &run) == OK);
    tls_server_unref(run.server);
    tls_identity_unref(identity);
    tls_tickets_free(tickets);
    waitpid(child, NULL, 0);
    return 0;
}
