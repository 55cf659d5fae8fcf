#include "policy/oauth_client.h"

#include "base/base64.h"
#include "http/uri.h"

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

enum status oauth_ask(const struct oauth_client *client, const struct inquiry_target *target,
    const struct exchange *x, struct text *form, int64_t timeout, struct arena *arena,
    struct inquiry_answer *ret_answer)
{
    struct arena scratch;
    struct fields fields;
    arena_init(&scratch, 0, 0);
    fields_init(&fields, &scratch);
    enum status e = fields_add_known(&fields, FIELD_ACCEPT, SLICE("application/json"));
    if (client->method == OAUTH_CLIENT_POST) {
        oauth_form_add(form, "client_id", client->id);
        oauth_form_add(form, "client_secret", client->secret);
    } else if (!e)
        e = fields_add_known(&fields, FIELD_AUTHORIZATION, client->basic);
    if (form->failed)
        e = NO_MEMORY;
    const struct inquiry inquiry = {.fields = &fields,
        .body = text_slice(form),
        .type = SLICE("application/x-www-form-urlencoded"),
        .timeout = timeout};
    if (!e)
        e = inquiry_ask(target, x, &inquiry, arena, ret_answer);
    arena_release(&scratch);
    return e;
}
