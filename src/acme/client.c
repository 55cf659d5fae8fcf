#include "acme/client.h"

#include "http/fetch.h"
#include "run/loop.h"

#define CALL_TIME   (30 * SECOND)
#define BODY_MAX    ((size_t)1 << 20)
#define REQUEST_MAX ((size_t)256 << 10)
#define NONCE_TRIES 4 /* the first, and those whose nonce was refused */

static void take_reply(
    struct acme_client *client, const struct fields *fields, struct acme_reply *reply)
{
    reply->location = fields_value(fields, FIELD_LOCATION);
    reply->retry_after =
        acme_read_retry_after(fields_value(fields, FIELD_RETRY_AFTER), clock_wall());
    client->nonce = fields_value_named(fields, SLICE("Replay-Nonce"));
}

static enum status ask(struct acme_client *client, struct fetch *fetch,
    const struct fetch_question *question, struct acme_reply *reply)
{
    instant deadline = loop_now() + CALL_TIME;
    enum status e = fetch_ask(fetch, question, client->arena, deadline);
    if (e == INVALID || e == CLOSED)
        return IO_ERROR;
    if (e)
        return e;
    reply->status = fetch->response.status;
    take_reply(client, &fetch->response.fields, reply);
    e = fetch_read_all(fetch, BODY_MAX, deadline, &reply->body);
    return e == OK || e == CANCELLED || e == NO_MEMORY ? e : IO_ERROR;
}

/* An authority is asked by HTTPS, whatever it says. */
static enum status call(struct acme_client *client, const char *method, struct slice url,
    struct slice body, struct acme_reply *ret_reply)
{
    struct fetch_place place;
    struct fetch fetch;
    const char *problem;
    *ret_reply = (struct acme_reply){.status = 0};
    enum status e = fetch_place_parse(client->arena, url, &place, &problem);
    if (!e && !place.is_tls)
        e = INVALID;
    if (e)
        return e;
    struct fetch_question question = {.method = method,
        .target = place.path.size ? place.path : SLICE("/"),
        .type = body.data ? SLICE("application/jose+json") : SLICE_NONE,
        .body = body};
    place.path = SLICE_NONE;
    fetch_init(&fetch, &place, client->resolver, client->tls);
    e = ask(client, &fetch, &question, ret_reply);
    fetch_close(&fetch);
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
