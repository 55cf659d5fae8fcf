#include "http/websocket_handshake.h"

#include <openssl/sha.h>

#include "base/base64.h"

#define KEY_SIZE 16 /* bytes, which are sent as 24 characters */
#define KEY_TEXT 24
#define GUID     SLICE("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
#define DEFLATE  SLICE("permessage-deflate")

/* --- by HTTP/2 */

enum status websocket_from_connect(struct http_request *request, const uint64_t random[2])
{
    struct fields *fields = &request->fields;
    char *key = arena_bytes(fields->arena, KEY_TEXT + 2);
    if (!key)
        return NO_MEMORY;
    base64_encode(slice_of((const char *)random, KEY_SIZE), 0, key);
    request->method = METHOD_GET;
    request->method_text = SLICE("GET");
    enum status e = fields_set_made(fields, FIELD_SEC_WEBSOCKET_KEY, slice_of(key, KEY_TEXT));
    if (!e)
        e = fields_set_made(fields, FIELD_UPGRADE, SLICE("websocket"));
    return e ? e : fields_set_made(fields, FIELD_CONNECTION, SLICE("upgrade"));
}

void websocket_to_connect(struct http_response *response)
{
    response->status = 200;
    fields_remove_known(&response->fields, FIELD_SEC_WEBSOCKET_ACCEPT);
}

static enum status set_accept(const struct http_request *request, struct fields *fields)
{
    char *accept = arena_bytes(fields->arena, WEBSOCKET_ACCEPT_SIZE + 2);
    if (!accept)
        return NO_MEMORY;
    websocket_accept(fields_value(&request->fields, FIELD_SEC_WEBSOCKET_KEY), accept);
    return fields_set_made(
        fields, FIELD_SEC_WEBSOCKET_ACCEPT, slice_of(accept, WEBSOCKET_ACCEPT_SIZE));
}

enum status websocket_from_connected(
    const struct http_request *request, struct http_response *response)
{
    struct fields *fields = &response->fields;
    response->status = 101;
    enum status e = set_accept(request, fields);
    if (!e)
        e = fields_set_made(fields, FIELD_UPGRADE, SLICE("websocket"));
    return e ? e : fields_set_made(fields, FIELD_CONNECTION, SLICE("upgrade"));
}

/* --- what is asked */

bool websocket_is_asked_for(const struct http_request *request)
{
    return request->version != HTTP_1_0 &&
           fields_list_has(&request->fields, FIELD_UPGRADE, SLICE("websocket")) &&
           fields_list_has(&request->fields, FIELD_CONNECTION, SLICE("upgrade"));
}

static unsigned count_of(const struct fields *fields, enum field_id id)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < fields->count; i++)
        count += fields->items[i].name.size && fields->items[i].id == id;
    return count;
}

static bool is_key(const struct fields *fields)
{
    struct slice key = fields_value(fields, FIELD_SEC_WEBSOCKET_KEY);
    char bytes[KEY_TEXT];
    size_t size;
    return count_of(fields, FIELD_SEC_WEBSOCKET_KEY) == 1 && key.size == KEY_TEXT &&
           base64_decode(key, BASE64_LENIENT, bytes, &size) && size == KEY_SIZE;
}

/* The extension's name; its parameters stand behind it. */
static struct slice extension_name(struct slice member)
{
    return slice_trim(slice_head(member, slice_find(member, ';')));
}

static bool is_deflate(struct slice member)
{
    return slice_equal_nocase(extension_name(member), DEFLATE);
}

/* The offers of permessage-deflate, as they were written; empty when there are none. */
static enum status keep_known_extensions(struct exchange *x)
{
    struct fields *fields = &x->request.fields;
    if (!fields_has(fields, FIELD_SEC_WEBSOCKET_EXTENSIONS))
        return OK;
    struct slice all = fields_combined(fields, field_name(FIELD_SEC_WEBSOCKET_EXTENSIONS));
    char *room = arena_bytes(&x->arena, all.size + 2);
    if (!all.data || !room)
        return NO_MEMORY;
    struct text kept = text_fixed(room, all.size + 2);
    struct slice member;
    while (field_list_next(&all, &member)) {
        if (!is_deflate(member))
            continue;
        if (kept.size)
            text_add_literal(&kept, ", ");
        text_add(&kept, member);
    }
    fields_remove_known(fields, FIELD_SEC_WEBSOCKET_EXTENSIONS);
    if (kept.failed || kept.size == 0)
        return OK;
    return fields_add_known(fields, FIELD_SEC_WEBSOCKET_EXTENSIONS, text_slice(&kept));
}

enum status websocket_check_request(struct exchange *x)
{
    const struct fields *fields = &x->request.fields;
    if (x->request.method != METHOD_GET || !body_is_empty(x->request.body) || !is_key(fields))
        return BAD_HANDSHAKE;
    if (count_of(fields, FIELD_SEC_WEBSOCKET_VERSION) != 1 ||
        !slice_equal(fields_value(fields, FIELD_SEC_WEBSOCKET_VERSION), SLICE("13"))) {
        enum status e =
            fields_set_known(&x->response.fields, FIELD_SEC_WEBSOCKET_VERSION, SLICE("13"));
        return e ? e : WEBSOCKET_VERSION;
    }
    return keep_known_extensions(x);
}

/* --- what is answered */

void websocket_accept(struct slice key, char accept[WEBSOCKET_ACCEPT_SIZE + 2])
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    char text[KEY_TEXT + 64];
    struct text joined = text_fixed(text, sizeof text);
    text_add(&joined, key);
    text_add(&joined, GUID);
    SHA1((const unsigned char *)joined.data, joined.size, digest);
    base64_encode(slice_of((const char *)digest, sizeof digest), 0, accept);
}

static bool has_right_key(const struct fields *asked, const struct fields *answered)
{
    char accept[WEBSOCKET_ACCEPT_SIZE + 2];
    websocket_accept(fields_value(asked, FIELD_SEC_WEBSOCKET_KEY), accept);
    return count_of(answered, FIELD_SEC_WEBSOCKET_ACCEPT) == 1 &&
           slice_equal(fields_value(answered, FIELD_SEC_WEBSOCKET_ACCEPT),
               slice_of(accept, WEBSOCKET_ACCEPT_SIZE));
}

/* At most one subprotocol, among those that were asked for. */
static bool has_right_protocol(const struct fields *asked, const struct fields *answered)
{
    unsigned count = count_of(answered, FIELD_SEC_WEBSOCKET_PROTOCOL);
    struct slice chosen = fields_value(answered, FIELD_SEC_WEBSOCKET_PROTOCOL), offered;
    struct slice all = fields_combined(asked, field_name(FIELD_SEC_WEBSOCKET_PROTOCOL));
    while (count == 1 && field_list_next(&all, &offered))
        if (slice_equal(offered, chosen))
            return true;
    return count == 0;
}

static bool has_right_extensions(
    const struct fields *asked, const struct fields *answered, bool *ret_compresses)
{
    *ret_compresses = false;
    struct slice all = fields_combined(answered, field_name(FIELD_SEC_WEBSOCKET_EXTENSIONS));
    struct slice member;
    while (all.data && field_list_next(&all, &member)) {
        if (!is_deflate(member) || *ret_compresses)
            return false;
        *ret_compresses = true;
    }
    return !*ret_compresses || fields_has(asked, FIELD_SEC_WEBSOCKET_EXTENSIONS);
}

enum status websocket_check_response(
    const struct http_request *request, const struct http_response *response, bool *ret_compresses)
{
    const struct fields *asked = &request->fields, *answered = &response->fields;
    bool is_right = slice_equal_nocase(fields_value(answered, FIELD_UPGRADE), SLICE("websocket")) &&
                    fields_list_has(answered, FIELD_CONNECTION, SLICE("upgrade")) &&
                    has_right_key(asked, answered) && has_right_protocol(asked, answered) &&
                    has_right_extensions(asked, answered, ret_compresses);
    return is_right ? OK : UPSTREAM_UPGRADE;
}
