#include "policy/login.h"

#include "base/base64.h"
#include "base/random.h"

#define ID_SIZE 16 /* random bytes */

/* --- as text: a JSON object with names of one letter, since cookies are small */

static enum status write(
    const struct login *login, const struct login_session *session, struct text *text)
{
    struct json_writer writer;
    json_writer_init(&writer, text, 0);
    json_write_object(&writer);
    json_put_text(&writer, "p", session->provider);
    json_put_text(&writer, "s", session->id);
    json_put_i64(&writer, "n", session->number);
    json_put_i64(&writer, "b", session->begun);
    json_put_i64(&writer, "u", session->used);
    json_put_i64(&writer, "d", session->due);
    json_put_i64(&writer, "f", session->fresh);
    json_put_text(&writer, "i", session->id_token);
    json_put_text(&writer, "r", session->refresh_token);
    if (login->bearer == LOGIN_BEARER_ACCESS && session->access_token.size)
        json_put_text(&writer, "a", session->access_token);
    if (session->userinfo.size)
        json_put_text(&writer, "m", session->userinfo);
    json_write_object_end(&writer);
    return json_writer_is_done(&writer) ? OK : NO_MEMORY;
}

static enum status read_claims(struct arena *arena, struct login_session *session)
{
    struct jws jws;
    enum status e = jws_read(arena, session->id_token, &jws);
    if (!e)
        e = jwt_read(arena, jws.payload, &session->claims);
    if (!e && session->userinfo.size)
        e = login_add_userinfo(arena, session->userinfo, &session->claims);
    return e && e != NO_MEMORY ? INVALID : e;
}

static enum status read(struct arena *arena, struct slice text, struct login_session *session)
{
    struct json_value *root;
    enum status e = json_parse(arena, text, NULL, &root, NULL);
    if (e)
        return e == NO_MEMORY ? e : INVALID;
    if (!json_get_text(root, SLICE("p"), &session->provider) ||
        !json_get_text(root, SLICE("s"), &session->id) ||
        !json_get_i64(root, SLICE("n"), &session->number) ||
        !json_get_i64(root, SLICE("b"), &session->begun) ||
        !json_get_i64(root, SLICE("u"), &session->used) ||
        !json_get_i64(root, SLICE("d"), &session->due) ||
        !json_get_i64(root, SLICE("f"), &session->fresh) ||
        !json_get_text(root, SLICE("i"), &session->id_token) ||
        !json_get_text(root, SLICE("r"), &session->refresh_token))
        return INVALID;
    (void)json_get_text(root, SLICE("a"), &session->access_token);
    (void)json_get_text(root, SLICE("m"), &session->userinfo);
    return read_claims(arena, session);
}

enum status login_session_seal(const struct login *login, const struct login_session *session,
    struct arena *arena, struct slice *ret_text)
{
    struct text text = text_growing(SEAL_SIZE_MAX);
    enum status e = write(login, session, &text);
    if (!e)
        e = seal(login->sessions, arena, text_slice(&text), ret_text);
    text_release(&text);
    return e;
}

int64_t login_session_end(const struct login *login, const struct login_session *session)
{
    int64_t life = session->begun + login->lifetime / SECOND,
            idle = session->used + login->idle / SECOND;
    return life < idle ? life : idle;
}

static bool is_among(const struct json_value *audience, struct slice client)
{
    json_each (one, audience)
        if (one->type == JSON_STRING && slice_equal(one->text, client))
            return true;
    return audience && audience->type == JSON_STRING && slice_equal(audience->text, client);
}

/* Whether it is still one of this configuration, and not another login's with the same secret. */
static bool is_of(const struct login *login, const struct login_session *session)
{
    const struct login_provider *provider = login_provider_of(login, session->provider);
    return provider && slice_equal(json_text_of(session->claims, "iss"), provider->issuer) &&
           is_among(json_get(session->claims, SLICE("aud")), provider->client.id) &&
           login_now() < login_session_end(login, session);
}

enum status login_session_open(const struct login *login, struct arena *arena, struct slice text,
    struct login_session *ret_session)
{
    struct login_session session = {.number = 0};
    struct slice bytes;
    enum status e = unseal(login->sessions, arena, text, &bytes);
    if (!e)
        e = read(arena, bytes, &session);
    if (!e && !is_of(login, &session))
        e = INVALID;
    if (!e)
        *ret_session = session;
    return e;
}

/* --- in use */

void login_session_begin(const struct login_provider *provider, struct exchange *x,
    const struct login_tokens *tokens, struct login_session *ret_session)
{
    char id[ID_SIZE];
    char *text = arena_bytes(&x->arena, base64_encoded_size(ID_SIZE));
    random_bytes(id, sizeof id);
    *ret_session = (struct login_session){.provider = provider->name,
        .begun = login_now(),
        .used = login_now(),
        .due = tokens->due,
        .fresh = tokens->fresh,
        .id_token = tokens->id_token,
        .refresh_token = tokens->refresh_token,
        .access_token = tokens->access_token,
        .userinfo = tokens->userinfo,
        .claims = tokens->claims};
    if (text)
        ret_session->id = slice_of(
            text, base64_encode(slice_of(id, sizeof id), BASE64_URL | BASE64_UNPADDED, text));
}

/* Opens it into a token of the memory. */
static enum status open_token(
    const struct login *login, struct slice text, struct known_token **ret_token)
{
    struct known_token *token;
    enum status e = known_token_new(text, &token);
    if (e)
        return e;
    struct login_session *session = arena_new(&token->arena, struct login_session);
    e = session ? login_session_open(login, &token->arena, token->text, session) : NO_MEMORY;
    if (!e)
        e = login_prepare_ends(login, &token->arena, session);
    if (e) {
        known_token_unref(token);
        return e;
    }
    token->claims = session->claims;
    token->until = login_session_end(login, session);
    token->more = session;
    *ret_token = token;
    return OK;
}

enum status login_session_take(const struct login *login, struct exchange *x, struct slice text,
    bool *ret_was_known, struct login_session **ret_session)
{
    /* A rehearsal runs on another thread than the worker whose memory this is. */
    struct token_memory *memory = x->is_rehearsal ? NULL : &login->memories[x->worker];
    struct known_token *token = memory ? token_memory_find(memory, text, login_now()) : NULL;
    *ret_was_known = token != NULL;
    if (!token) {
        enum status e = open_token(login, text, &token);
        if (e)
            return e == INVALID ? CREDENTIALS_MISSING : e;
        if (memory)
            token_memory_add(memory, token);
    }
    if (arena_own(&x->arena, known_token_unref, token))
        return NO_MEMORY;
    *ret_session = token->more;
    return OK;
}

enum status login_session_find(const struct login *login, struct exchange *x, bool *ret_was_known,
    struct login_session **ret_session)
{
    struct slice text;
    enum status e = split_cookie_value(&login->cookie, &x->request.fields, &x->arena, &text);
    if (e)
        return e == NO_MEMORY ? e : CREDENTIALS_MISSING;
    return login_session_take(login, x, text, ret_was_known, ret_session);
}

enum status login_session_give(
    const struct login *login, struct exchange *x, const struct login_session *session)
{
    struct slice text;
    int64_t left = login_session_end(login, session) - login_now();
    enum status e = login_session_seal(login, session, &x->arena, &text);
    return e ? e
             : split_cookie_set(&login->cookie, &x->request.fields, text, left > 0 ? left : 0,
                   &x->response.fields);
}
