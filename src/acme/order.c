#include "acme/order.h"

#include <stdio.h>

#include "acme/certificate.h"
#include "base/json_writer.h"
#include "run/loop.h"

#define ORDER_TIME    (5 * MINUTE) /* for an authority to come to a decision */
#define POLL_LEAST    SECOND
#define POLL_MOST     (15 * SECOND)
#define TEXT_MAX      ((size_t)64 << 10)

#define ACCOUNT_PAUSE (100 * MILLISECOND) /* between two looks whether another has made it */

struct ordering {
    const struct acme_wish *wish;
    struct arena *arena;
    struct acme_client client;
    struct acme_key *key;         /* owned: of the account */
    struct acme_key *certificate; /* owned: of the certificate */
    struct slice url;             /* of the order */
    struct acme_order order;
    struct slice shown[ACME_AUTHORIZATIONS_MAX]; /* keys of answers */
    size_t shown_count;
    struct slice problem;
    instant deadline;
};

/* --- what is kept. Accounts belong to an authority, and so do orders. */

static struct slice name_of(struct ordering *ordering, const char *kind, const char *part)
{
    const struct acme_wish *wish = ordering->wish;
    char *folder = arena_text(ordering->arena, slice_from(wish->directory, 8));
    if (!folder)
        return SLICE_NONE;
    for (char *c = folder; *c; c++) /* a name in the store, not a URL */
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
            *c = '-';
    if (*kind == 'a')
        return arena_format(ordering->arena, "account/%s/%s", folder, part);
    return arena_format(ordering->arena, "order/%s/%.*s/%s", folder, SLICE_ARG(wish->name), part);
}

static enum status get(struct ordering *ordering, struct slice name, struct slice *ret_value)
{
    return ordering->wish->store->ops->get(ordering->wish->store, name, ordering->arena, ret_value);
}

static enum status put(struct ordering *ordering, struct slice name, struct slice value)
{
    enum status e = ordering->wish->store->ops->put(ordering->wish->store, name, value);
    if (e)
        ordering->problem = arena_format(
            ordering->arena, "%.*s cannot be kept: %s", SLICE_ARG(name), status_sentence(e));
    return e;
}

static void drop(struct ordering *ordering, struct slice name)
{
    ordering->wish->store->ops->drop(ordering->wish->store, name);
}

/* The key that is kept under a name, or a new one. */
static enum status have_key(
    struct ordering *ordering, struct slice name, struct acme_key **ret_key, bool *ret_is_new)
{
    struct slice pem;
    *ret_is_new = false;
    enum status e = get(ordering, name, &pem);
    if (!e)
        return acme_key_read(pem, ret_key);
    if (e != NOT_FOUND)
        return e;
    *ret_is_new = true;
    e = acme_key_new(ret_key);
    struct text text = text_growing(TEXT_MAX);
    if (!e)
        e = acme_key_write(*ret_key, &text);
    if (!e)
        e = put(ordering, name, text_slice(&text));
    text_release(&text);
    return e;
}

/* --- the account (§7.3) */

static enum status write_account(struct ordering *ordering, struct text *text)
{
    const struct acme_wish *wish = ordering->wish;
    struct json_writer writer;
    struct text binding = text_growing(TEXT_MAX);
    enum status e = OK;
    json_writer_init(&writer, text, 0);
    json_write_object(&writer);
    json_put_bool(&writer, "termsOfServiceAgreed", true);
    if (wish->contact.size) {
        json_put_array(&writer, "contact");
        json_write_string(
            &writer, arena_format(ordering->arena, "mailto:%.*s", SLICE_ARG(wish->contact)));
        json_write_array_end(&writer);
    }
    if (wish->known_as.size) {
        e = acme_bind(ordering->key, wish->known_as, wish->secret,
            ordering->client.directory.new_account, &binding);
        json_put_raw(&writer, "externalAccountBinding", text_slice(&binding));
    }
    json_write_object_end(&writer);
    text_release(&binding);
    if (e == INVALID)
        ordering->problem = SLICE("the key of `eab` is not base64url");
    return e ? e : text->failed ? NO_MEMORY : OK;
}

/* An authority that has an account of that key already says which. */
static enum status make_account(struct ordering *ordering)
{
    struct acme_reply reply;
    struct text payload = text_growing(TEXT_MAX);
    if (ordering->client.directory.needs_binding && !ordering->wish->known_as.size) {
        ordering->problem = SLICE("the authority wants accounts that it knows: it needs `eab`");
        return REFUSED;
    }
    enum status e = write_account(ordering, &payload);
    if (!e)
        e = acme_client_post(&ordering->client, ordering->client.directory.new_account,
            text_slice(&payload), &reply);
    text_release(&payload);
    if (!e && !reply.location.size)
        e = INVALID;
    if (e)
        return e;
    ordering->client.account = reply.location;
    return put(ordering, name_of(ordering, "account", "url"), reply.location);
}

static bool know_account(struct ordering *ordering)
{
    return !get(ordering, name_of(ordering, "account", "url"), &ordering->client.account);
}

/* Key and account are made by one order alone, here or at another gateway; the others wait. */
static enum status lock_account(struct ordering *ordering, void **ret_lock)
{
    struct acme_store *store = ordering->wish->store;
    struct slice name = name_of(ordering, "account", "key");
    enum status e = name.data ? store->ops->lock(store, name, ret_lock) : NO_MEMORY;
    while (e == FULL && loop_now() < ordering->deadline) {
        e = fiber_sleep_until(loop_now() + ACCOUNT_PAUSE);
        if (!e)
            e = store->ops->lock(store, name, ret_lock);
    }
    return e;
}

static enum status open_account_alone(struct ordering *ordering)
{
    bool is_new;
    enum status e =
        have_key(ordering, name_of(ordering, "account", "key"), &ordering->key, &is_new);
    ordering->client.key = ordering->key;
    if (!e && (is_new || !know_account(ordering)))
        e = make_account(ordering);
    return e;
}

static enum status open_account(struct ordering *ordering)
{
    struct acme_store *store = ordering->wish->store;
    void *lock;
    enum status e = acme_client_open(&ordering->client, ordering->wish->directory);
    if (!e)
        e = lock_account(ordering, &lock);
    if (e)
        return e;
    e = open_account_alone(ordering);
    store->ops->unlock(store, lock);
    return e;
}

/* --- the order (§7.4) */

static enum status keep_order(struct ordering *ordering, const struct acme_reply *reply)
{
    enum status e = acme_read_order(ordering->arena, reply->body, &ordering->order);
    if (!e && ordering->order.state == ACME_INVALID) {
        ordering->problem = ordering->order.problem.detail.size
                                ? ordering->order.problem.detail
                                : SLICE("the authority gave the order up");
        drop(ordering, name_of(ordering, "order", "url"));
        e = REFUSED;
    }
    return e;
}

static enum status new_order(struct ordering *ordering)
{
    struct acme_reply reply;
    struct slice payload =
        arena_format(ordering->arena, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"%.*s\"}]}",
            SLICE_ARG(ordering->wish->name));
    if (!payload.data)
        return NO_MEMORY;
    enum status e =
        acme_client_post(&ordering->client, ordering->client.directory.new_order, payload, &reply);
    if (!e && !reply.location.size)
        e = INVALID;
    if (e)
        return e;
    ordering->url = reply.location;
    drop(ordering, name_of(ordering, "order", "key"));
    e = put(ordering, name_of(ordering, "order", "url"), ordering->url);
    return e ? e : keep_order(ordering, &reply);
}

static enum status look_at_order(struct ordering *ordering, int64_t *ret_retry_after)
{
    struct acme_reply reply;
    enum status e = acme_client_post(&ordering->client, ordering->url, SLICE_NONE, &reply);
    if (ret_retry_after && !e)
        *ret_retry_after = reply.retry_after;
    return e ? e : keep_order(ordering, &reply);
}

/* The one that was begun before, as long as the authority knows it. */
static enum status open_order(struct ordering *ordering)
{
    if (get(ordering, name_of(ordering, "order", "url"), &ordering->url))
        return new_order(ordering);
    enum status e = look_at_order(ordering, NULL);
    if (e != REFUSED)
        return e;
    ordering->problem = SLICE_NONE;
    return new_order(ordering);
}

/* Between two looks: as long as the authority says, else longer and longer. */
static enum status rest(struct ordering *ordering, int64_t retry_after, int64_t *pause)
{
    int64_t wait = retry_after ? retry_after * SECOND : *pause;
    *pause = *pause * 2 < POLL_MOST ? *pause * 2 : POLL_MOST;
    if (loop_now() + wait > ordering->deadline) {
        ordering->problem = SLICE("the authority does not come to a decision");
        return TIMEOUT;
    }
    return fiber_sleep_until(loop_now() + wait);
}

/* --- proving that the name is ours (§7.5) */

static const struct acme_challenge *choose(
    const struct ordering *ordering, const struct acme_authorization *authorization)
{
    struct slice wanted =
        ordering->wish->challenge == ACME_HTTP_01 ? SLICE("http-01") : SLICE("tls-alpn-01");
    for (size_t i = 0; i < authorization->challenge_count; i++)
        if (slice_equal(authorization->challenges[i].type, wanted))
            return &authorization->challenges[i];
    return NULL;
}

static enum status show_certificate(
    struct ordering *ordering, struct slice name, struct slice authorization)
{
    struct acme_key *key = NULL;
    struct tls_identity *identity = NULL;
    const char *problem;
    struct text chain = text_growing(TEXT_MAX), pem = text_growing(TEXT_MAX);
    enum status e = acme_key_new(&key);
    if (!e)
        e = acme_sign_challenge(key, name, authorization, &chain);
    if (!e)
        e = acme_key_write(key, &pem);
    if (!e)
        e = tls_identity_new(text_slice(&chain), text_slice(&pem), &identity, &problem);
    if (!e)
        e = acme_answers_show(ordering->wish->answers, name, identity);
    tls_identity_unref(identity);
    text_release(&chain);
    text_release(&pem);
    acme_key_free(key);
    return e;
}

static enum status prepare_answer(struct ordering *ordering,
    const struct acme_authorization *authorization, const struct acme_challenge *challenge)
{
    char data[ACME_ANSWER_MAX];
    struct text text = text_fixed(data, sizeof data);
    text_add(&text, challenge->token);
    text_add_char(&text, '.');
    enum status e = acme_key_thumbprint(ordering->key, &text);
    if (e)
        return e;
    bool is_http = ordering->wish->challenge == ACME_HTTP_01;
    ordering->shown[ordering->shown_count++] = is_http ? challenge->token : authorization->name;
    return is_http ? acme_answers_put(ordering->wish->answers, challenge->token, text_slice(&text))
                   : show_certificate(ordering, authorization->name, text_slice(&text));
}

static enum status read_authorization(struct ordering *ordering, struct slice url,
    struct acme_authorization *ret_authorization, int64_t *ret_retry_after)
{
    struct acme_reply reply;
    enum status e = acme_client_post(&ordering->client, url, SLICE_NONE, &reply);
    *ret_retry_after = e ? 0 : reply.retry_after;
    return e ? e : acme_read_authorization(ordering->arena, reply.body, ret_authorization);
}

static struct slice why_invalid(const struct acme_authorization *authorization)
{
    for (size_t i = 0; i < authorization->challenge_count; i++)
        if (authorization->challenges[i].problem.detail.size)
            return authorization->challenges[i].problem.detail;
    return SLICE("the authority does not believe that the name is ours");
}

static enum status await_authorization(struct ordering *ordering, struct slice url)
{
    struct acme_authorization authorization;
    int64_t pause = POLL_LEAST, retry_after = 0;
    for (;;) {
        enum status e = read_authorization(ordering, url, &authorization, &retry_after);
        if (e || authorization.state == ACME_VALID)
            return e;
        if (authorization.state == ACME_INVALID) {
            ordering->problem = why_invalid(&authorization);
            drop(ordering, name_of(ordering, "order", "url"));
            return REFUSED;
        }
        e = rest(ordering, retry_after, &pause);
        if (e)
            return e;
    }
}

static enum status authorize(struct ordering *ordering, struct slice url)
{
    struct acme_authorization authorization;
    struct acme_reply reply;
    int64_t retry_after;
    enum status e = read_authorization(ordering, url, &authorization, &retry_after);
    if (e || authorization.state == ACME_VALID)
        return e;
    const struct acme_challenge *challenge = choose(ordering, &authorization);
    if (!challenge) {
        ordering->problem = SLICE("the authority does not offer this kind of challenge");
        return REFUSED;
    }
    e = prepare_answer(ordering, &authorization, challenge);
    if (!e && challenge->state == ACME_PENDING)
        e = acme_client_post(&ordering->client, challenge->url, SLICE("{}"), &reply);
    return e ? e : await_authorization(ordering, url);
}

static enum status authorize_all(struct ordering *ordering)
{
    enum status e = OK;
    if (ordering->order.state != ACME_PENDING)
        return OK;
    for (size_t i = 0; !e && i < ordering->order.authorization_count; i++)
        e = authorize(ordering, ordering->order.authorizations[i]);
    return e ? e : look_at_order(ordering, NULL);
}

/* --- the certificate (§7.4, §7.4.2) */

static enum status finalize(struct ordering *ordering)
{
    struct acme_reply reply;
    struct text der = text_growing(TEXT_MAX), payload = text_growing(TEXT_MAX);
    enum status e = acme_request_certificate(ordering->certificate, ordering->wish->name, &der);
    text_add_literal(&payload, "{\"csr\":\"");
    acme_add_base64(&payload, text_slice(&der));
    text_add_literal(&payload, "\"}");
    if (!e)
        e = payload.failed ? NO_MEMORY
                           : acme_client_post(&ordering->client, ordering->order.finalize,
                                 text_slice(&payload), &reply);
    text_release(&der);
    text_release(&payload);
    return e ? e : keep_order(ordering, &reply);
}

/* Until the authority has issued it. It wants to be asked for it when it is satisfied. */
static enum status await_certificate(struct ordering *ordering)
{
    int64_t pause = POLL_LEAST, retry_after = 0;
    enum status e = OK;
    bool is_asked = false;
    while (!e && ordering->order.state != ACME_VALID) {
        if (ordering->order.state == ACME_READY && !is_asked) {
            is_asked = true;
            e = finalize(ordering);
            continue;
        }
        e = rest(ordering, retry_after, &pause);
        if (!e)
            e = look_at_order(ordering, &retry_after);
    }
    return e || ordering->order.certificate.size ? e : INVALID;
}

/* What came fits the key and the name, or it does not replace what is there. */
static enum status check_chain(struct ordering *ordering, struct slice chain, struct slice key)
{
    struct tls_identity *identity = NULL;
    const char *problem = "it is for another name";
    size_t count = 0;
    bool is_named = false;
    enum status e = tls_identity_new(chain, key, &identity, &problem);
    const struct slice *names = e ? NULL : tls_identity_names(identity, &count);
    for (size_t i = 0; i < count; i++)
        is_named |= slice_equal(names[i], ordering->wish->name);
    tls_identity_unref(identity);
    if (e == NO_MEMORY || (!e && is_named))
        return e;
    ordering->problem =
        arena_format(ordering->arena, "the certificate that came is of no use: %s", problem);
    return INVALID;
}

static enum status keep_certificate(struct ordering *ordering, struct slice chain)
{
    struct slice name = ordering->wish->name;
    struct text key = text_growing(TEXT_MAX);
    enum status e = acme_key_write(ordering->certificate, &key);
    if (!e)
        e = check_chain(ordering, chain, text_slice(&key));
    /* The key stands before the chain in the file, so that both are replaced at once. */
    text_add(&key, chain);
    if (!e)
        e = key.failed
                ? NO_MEMORY
                : put(ordering, arena_format(ordering->arena, ACME_PAIR_NAME, SLICE_ARG(name)),
                      text_slice(&key));
    text_release(&key);
    return e;
}

static enum status download(struct ordering *ordering)
{
    struct acme_reply reply;
    enum status e =
        acme_client_post(&ordering->client, ordering->order.certificate, SLICE_NONE, &reply);
    if (!e)
        e = keep_certificate(ordering, reply.body);
    if (!e) {
        drop(ordering, name_of(ordering, "order", "url"));
        drop(ordering, name_of(ordering, "order", "key"));
    }
    return e;
}

static enum status run(struct ordering *ordering)
{
    bool is_new;
    enum status e = open_account(ordering);
    if (!e)
        e = open_order(ordering);
    if (!e)
        e = have_key(ordering, name_of(ordering, "order", "key"), &ordering->certificate, &is_new);
    if (!e)
        e = authorize_all(ordering);
    if (!e)
        e = await_certificate(ordering);
    return e ? e : download(ordering);
}

static bool is_forgotten(const struct ordering *ordering, enum status e)
{
    return e == REFUSED && slice_equal(ordering->client.problem.type, SLICE("accountDoesNotExist"));
}

static struct slice problem_of(struct ordering *ordering, enum status e)
{
    if (ordering->problem.size)
        return ordering->problem;
    if (ordering->client.problem.detail.size)
        return ordering->client.problem.detail;
    if (e == INVALID)
        return SLICE("what the authority answers is not ACME");
    return slice_of_text(status_sentence(e));
}

enum status acme_obtain(
    const struct acme_wish *wish, struct arena *arena, struct acme_outcome *ret_outcome)
{
    struct ordering ordering = {.wish = wish, .arena = arena, .deadline = loop_now() + ORDER_TIME};
    ordering.client =
        (struct acme_client){.resolver = wish->resolver, .tls = wish->tls, .arena = arena};
    enum status e = run(&ordering);
    if (is_forgotten(&ordering, e)) /* next time with another account */
        drop(&ordering, name_of(&ordering, "account", "url"));
    for (size_t i = 0; i < ordering.shown_count; i++)
        acme_answers_drop(wish->answers, ordering.shown[i]);
    *ret_outcome = (struct acme_outcome){.problem = e ? problem_of(&ordering, e) : SLICE_NONE,
        .retry_after = ordering.client.retry_after,
        .is_refused = e == REFUSED};
    acme_key_free(ordering.key);
    acme_key_free(ordering.certificate);
    return e;
}
