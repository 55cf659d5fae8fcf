#include "policy/oauth_client.h"

#include "acme/key.h"
#include "base/base64.h"
#include "base/random.h"
#include "config/source.h"
#include "http/uri.h"

#define TOKEN_MAX      ((size_t)16 << 10) /* bytes */
#define KEY_FILE_MAX   ((size_t)64 << 10)
#define ASSERTION_LIFE 60 /* seconds: it is made for one question */

const char *const oauth_client_methods[] = {
    [OAUTH_CLIENT_BASIC] = "basic", [OAUTH_CLIENT_POST] = "post", NULL};

/* Both are encoded as in a form before they are joined (RFC 6749 §2.3.1). */
enum status oauth_client_prepare(struct prepare *prepare, struct oauth_client *client)
{
    struct arena *arena = prepare->reader->arena;
    struct slice id = uri_encode(arena, client->id), secret = uri_encode(arena, client->secret);
    if (!id.data || !secret.data)
        return NO_MEMORY;
    struct slice pair = arena_join(arena, (struct slice[]){id, SLICE(":"), secret}, 3);
    char *room = pair.data ? arena_bytes(arena, base64_encoded_size(pair.size)) : NULL;
    if (!room)
        return NO_MEMORY;
    struct slice code = slice_of(room, base64_encode(pair, 0, room));
    client->basic = arena_join(arena, (struct slice[]){SLICE("Basic "), code}, 2);
    return client->basic.data ? OK : NO_MEMORY;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void oauth_form_add(struct text *form, const char *name, struct slice value)
{
    static const char digits[] = "0123456789ABCDEF";
    if (form->size)
        text_add_char(form, '&');
    text_add(form, slice_of_text(name));
    text_add_char(form, '=');
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (is_plain((char)c)) {
            text_add_char(form, (char)c);
            continue;
        }
        text_add_char(form, '%');
        text_add_char(form, digits[c >> 4]);
        text_add_char(form, digits[c & 15]);
    }
}

/* --- by a private key (RFC 7523 §3, OpenID Connect Core 1.0 §9) */

static void free_key(void *key)
{
    acme_key_free(key);
}

enum status oauth_client_read_key(
    struct prepare *prepare, struct oauth_client *client, struct slice file, struct place place)
{
    struct reader *reader = prepare->reader;
    const struct source *source;
    struct acme_key *key = NULL;
    struct slice path = source_path(reader->arena, place.source, file);
    enum status e = path.data ? source_read(reader->arena, path, KEY_FILE_MAX, &source) : NO_MEMORY;
    if (e && e != NO_MEMORY)
        return diagnostics_error(reader->diagnostics, place, SLICE_NONE, "\"%.*s\": %s",
            SLICE_ARG(slice_head(path, 200)), status_sentence(e));
    if (!e)
        e = acme_key_read(source->text, &key);
    if (e == INVALID)
        return diagnostics_error(reader->diagnostics, place,
            SLICE("openssl ecparam -name prime256v1 -genkey makes one"),
            "\"%.*s\" is no private key for ES256 (P-256, in PEM)",
            SLICE_ARG(slice_head(path, 200)));
    if (!e && arena_own(reader->arena, free_key, key))
        e = NO_MEMORY;
    if (!e)
        client->key = key;
    return e;
}

static enum status write_assertion(
    const struct oauth_client *client, struct slice audience, struct text *head, struct text *body)
{
    char id[24], id_text[40];
    struct json_writer writer;
    int64_t now = clock_wall() / SECOND;
    random_bytes(id, sizeof id);
    json_writer_init(&writer, head, 0);
    json_write_object(&writer);
    json_put_text(&writer, "alg", SLICE("ES256"));
    if (client->key_id.size)
        json_put_text(&writer, "kid", client->key_id);
    json_write_object_end(&writer);
    json_writer_init(&writer, body, 0);
    json_write_object(&writer);
    json_put_text(&writer, "iss", client->id);
    json_put_text(&writer, "sub", client->id);
    json_put_text(&writer, "aud", audience);
    json_put_text(&writer, "jti",
        slice_of(id_text, base64_encode(slice_of(id, sizeof id), BASE64_URL, id_text)));
    json_put_i64(&writer, "iat", now);
    json_put_i64(&writer, "exp", now + ASSERTION_LIFE);
    json_write_object_end(&writer);
    return json_writer_is_done(&writer) && !head->failed ? OK : NO_MEMORY;
}

static enum status sign_assertion(
    const struct oauth_client *client, struct slice head, struct slice body, struct text *token)
{
    unsigned char signature[ACME_SIGNATURE_SIZE];
    acme_add_base64(token, head);
    text_add_char(token, '.');
    acme_add_base64(token, body);
    enum status e =
        token->failed ? NO_MEMORY : acme_key_sign(client->key, text_slice(token), signature);
    if (e)
        return e;
    text_add_char(token, '.');
    acme_add_base64(token, slice_of((const char *)signature, sizeof signature));
    return token->failed ? NO_MEMORY : OK;
}

static enum status add_assertion(
    const struct oauth_client *client, struct slice audience, struct text *form)
{
    struct text head = text_growing(0), body = text_growing(0), token = text_growing(0);
    enum status e = write_assertion(client, audience, &head, &body);
    if (!e)
        e = sign_assertion(client, text_slice(&head), text_slice(&body), &token);
    if (!e) {
        oauth_form_add(form, "client_id", client->id);
        oauth_form_add(form, "client_assertion_type",
            SLICE("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        oauth_form_add(form, "client_assertion", text_slice(&token));
    }
    text_release(&head);
    text_release(&body);
    text_release(&token);
    return e;
}

/* --- asking */

enum status oauth_client_show(const struct oauth_client *client, enum oauth_client_method method,
    struct slice audience, struct fields *fields, struct text *form)
{
    enum status e = OK;
    switch (method) {
    case OAUTH_CLIENT_BASIC:
        return fields_add_known(fields, FIELD_AUTHORIZATION, client->basic);
    case OAUTH_CLIENT_POST:
        oauth_form_add(form, "client_id", client->id);
        oauth_form_add(form, "client_secret", client->secret);
        break;
    case OAUTH_CLIENT_KEY:
        e = add_assertion(client, audience, form);
        break;
    case OAUTH_CLIENT_NONE:
        oauth_form_add(form, "client_id", client->id);
        break;
    }
    return form->failed ? NO_MEMORY : e;
}

/* `arena` is for the fields, which it borrows, as the form. */
static enum status fill(const struct oauth_client *client, struct slice audience, struct text *form,
    struct arena *arena, struct inquiry *inquiry)
{
    struct fields *fields = arena_alloc(arena, sizeof *fields);
    if (!fields)
        return NO_MEMORY;
    fields_init(fields, arena);
    enum status e = fields_add_known(fields, FIELD_ACCEPT, SLICE("application/json"));
    if (!e)
        e = oauth_client_show(
            client, (enum oauth_client_method)client->method, audience, fields, form);
    if (!e && form->failed)
        e = NO_MEMORY;
    inquiry->fields = fields;
    inquiry->body = text_slice(form);
    inquiry->type = SLICE("application/x-www-form-urlencoded");
    return e;
}

enum status oauth_ask(const struct oauth_client *client, const struct inquiry_target *target,
    const struct exchange *x, struct text *form, int64_t timeout, struct arena *arena,
    struct inquiry_answer *ret_answer)
{
    struct inquiry inquiry = {.timeout = timeout};
    enum status e = fill(client, target->text, form, arena, &inquiry);
    return e ? e : inquiry_ask(target, x, &inquiry, arena, ret_answer);
}

enum status oauth_ask_issuer(const struct oauth_client *client, const struct oidc_issuer *issuer,
    struct slice endpoint, const struct exchange *x, struct text *form, int64_t timeout,
    struct arena *arena, struct inquiry_answer *ret_answer)
{
    struct inquiry inquiry = {.timeout = timeout};
    enum status e = fill(client, endpoint, form, arena, &inquiry);
    return e ? e : oidc_issuer_ask(issuer, endpoint, x, &inquiry, arena, ret_answer);
}

bool oauth_access_token(const struct json_value *answer, struct slice *ret_token)
{
    struct slice token, type = SLICE("Bearer");
    (void)json_get_text(answer, SLICE("token_type"), &type);
    if (!json_get_text(answer, SLICE("access_token"), &token) || token.size == 0 ||
        token.size > TOKEN_MAX || !slice_equal_nocase(type, SLICE("Bearer")))
        return false;
    for (size_t i = 0; i < token.size; i++)
        if (token.data[i] <= ' ' || token.data[i] > '~')
            return false;
    *ret_token = token;
    return true;
}
