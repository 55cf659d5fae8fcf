#include "acme/client.h"

#include <stdio.h>

#include "http/h1.h"
#include "http/uri.h"
#include "run/loop.h"
#include "run/resolver.h"
#include "run/socket.h"

#define CALL_TIME   (30 * SECOND)
#define BODY_MAX    ((size_t)1 << 20)
#define REQUEST_MAX ((size_t)256 << 10)
#define NONCE_TRIES 4 /* the first, and those whose nonce was refused */
#define HTTPS_PORT  443

struct place {
    struct slice authority, host, path;
    uint16_t port;
};

static enum status parse_url(struct arena *arena, struct slice url, struct place *place)
{
    static const struct slice scheme = SLICE_INIT("https://");
    if (!slice_has_prefix(url, scheme))
        return INVALID;
    struct slice rest = slice_from(url, scheme.size);
    size_t slash = slice_find(rest, '/');
    place->authority = slice_head(rest, slash);
    place->path = slash < rest.size ? slice_from(rest, slash) : SLICE("/");
    place->port = 0;
    if (uri_parse_authority(arena, place->authority, &place->host, &place->port))
        return INVALID;
    place->port = place->port ? place->port : HTTPS_PORT;
    return OK;
}

static enum status connect_to(
    struct acme_client *client, const struct place *place, instant deadline, struct stream **ret)
{
    struct resolved resolved;
    struct stream *stream = NULL;
    enum status e = resolver_resolve(
        client->resolver, place->host, place->port, client->arena, deadline, &resolved);
    if (e)
        return e;
    e = NOT_FOUND;
    for (size_t i = 0; e && e != CANCELLED && i < resolved.count; i++)
        e = socket_connect(&resolved.addresses[i], NULL, deadline, &stream);
    if (e)
        return e;
    struct stream *secure;
    e = tls_connect(stream, client->tls, place->host, NULL, &secure);
    if (e) {
        stream_close(stream);
        return e;
    }
    e = tls_handshake(secure, deadline);
    if (e)
        stream_close(secure);
    else
        *ret = secure;
    return e;
}

static void write_request(
    struct text *text, const char *method, const struct place *place, struct slice body)
{
    text_format(text, "%s %.*s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: weir\r\n", method,
        SLICE_ARG(place->path), SLICE_ARG(place->authority));
    if (body.data)
        text_format(
            text, "Content-Type: application/jose+json\r\nContent-Length: %zu\r\n", body.size);
    text_add_literal(text, "Connection: close\r\n\r\n");
    text_add(text, body);
}

static enum status read_reply(struct acme_client *client, struct wire *wire,
    enum http_method method, instant deadline, struct acme_reply *reply)
{
    static const struct h1_limits limits = H1_LIMITS_DEFAULT;
    struct http_response response = {0};
    struct h1_framing framing;
    struct h1_body body;
    fields_init(&response.fields, client->arena);
    enum status e;
    do
        e = h1_read_response(wire, client->arena, &limits, method, deadline, &response, &framing);
    while (!e && response.status < 200);
    if (e)
        return e == TIMEOUT || e == CANCELLED || e == NO_MEMORY ? e : IO_ERROR;
    h1_body_init(&body, wire, &limits, &framing, client->arena, 0);
    e = body_read_all(&body.body, client->arena, BODY_MAX, deadline, &reply->body);
    body_drop(&body.body);
    reply->status = response.status;
    reply->location = fields_value(&response.fields, FIELD_LOCATION);
    reply->retry_after =
        acme_read_retry_after(fields_value(&response.fields, FIELD_RETRY_AFTER), clock_wall());
    client->nonce = fields_value_named(&response.fields, SLICE("Replay-Nonce"));
    return e == OK || e == CANCELLED || e == NO_MEMORY ? e : IO_ERROR;
}

static enum status call(struct acme_client *client, const char *method, struct slice url,
    struct slice body, struct acme_reply *ret_reply)
{
    struct place place;
    struct stream *stream;
    struct wire wire;
    struct text request = text_growing(REQUEST_MAX);
    instant deadline = loop_now() + CALL_TIME;
    *ret_reply = (struct acme_reply){.status = 0};
    enum status e = parse_url(client->arena, url, &place);
    if (!e)
        e = connect_to(client, &place, deadline, &stream);
    if (e)
        return e;
    wire_init(&wire, stream);
    write_request(&request, method, &place, body);
    e = request.failed ? NO_MEMORY
                       : stream_write(stream, request.data, request.size, deadline, NULL);
    if (!e)
        e = read_reply(client, &wire, http_method_of(slice_of_text(method)), deadline, ret_reply);
    wire_release(&wire);
    text_release(&request);
    return e;
}

/* "rateLimited", or a server that is not at its best: later. */
static enum status judge(struct acme_client *client, const struct acme_reply *reply)
{
    if (reply->status >= 200 && reply->status < 300)
        return OK;
    acme_read_problem(client->arena, reply->body, &client->problem);
    if (!client->problem.detail.size)
        client->problem.detail =
            arena_format(client->arena, "the authority answers %d", reply->status);
    client->retry_after = reply->retry_after;
    bool is_later = reply->status == 429 || reply->status >= 500 ||
                    slice_equal(client->problem.type, SLICE("rateLimited"));
    return is_later ? FULL : REFUSED;
}

enum status acme_client_open(struct acme_client *client, struct slice directory)
{
    struct acme_reply reply;
    client->problem = (struct acme_problem){.type = SLICE_NONE};
    client->retry_after = 0;
    enum status e = call(client, "GET", directory, SLICE_NONE, &reply);
    if (!e)
        e = judge(client, &reply);
    return e ? e : acme_read_directory(client->arena, reply.body, &client->directory);
}

static enum status fetch_nonce(struct acme_client *client)
{
    struct acme_reply reply;
    if (client->nonce.size)
        return OK;
    enum status e = call(client, "HEAD", client->directory.new_nonce, SLICE_NONE, &reply);
    if (!e)
        e = judge(client, &reply);
    return e ? e : client->nonce.size ? OK : INVALID;
}

static enum status post_once(struct acme_client *client, struct slice url, struct slice payload,
    struct acme_reply *ret_reply)
{
    enum status e = fetch_nonce(client);
    if (e)
        return e;
    struct text body = text_growing(REQUEST_MAX);
    const struct acme_signing signing = {
        .key = client->key, .account = client->account, .nonce = client->nonce, .url = url};
    client->nonce = SLICE_NONE; /* each is good once */
    e = acme_sign(&signing, payload, &body);
    if (!e)
        e = call(client, "POST", url, text_slice(&body), ret_reply);
    text_release(&body);
    return e ? e : judge(client, ret_reply);
}

enum status acme_client_post(struct acme_client *client, struct slice url, struct slice payload,
    struct acme_reply *ret_reply)
{
    enum status e = REFUSED;
    for (int i = 0; i < NONCE_TRIES; i++) {
        client->problem = (struct acme_problem){.type = SLICE_NONE};
        client->retry_after = 0;
        e = post_once(client, url, payload, ret_reply);
        if (e != REFUSED || !slice_equal(client->problem.type, SLICE("badNonce")))
            break;
    }
    return e;
}
