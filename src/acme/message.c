#include "acme/message.h"

#include "base/clock.h"
#include "base/json.h"

#define ERROR_PREFIX SLICE("urn:ietf:params:acme:error:")
#define TOKEN_MAX    256
#define WAIT_MOST    86400 /* seconds that an authority may send us away for */
#define TEXT_SHOWN   400   /* bytes of a problem's detail that are kept */

/* Other schemes have no place in the middle of an order. Control bytes would break a request. */
static bool is_url(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f)
            return false;
    return slice_has_prefix(text, SLICE("https://"));
}

static struct slice url_of(const struct json_value *object, const char *key)
{
    struct slice url = json_text_of(object, key);
    return is_url(url) ? url : SLICE_NONE;
}

static enum acme_state state_of(const struct json_value *object)
{
    static const struct {
        struct slice word;
        enum acme_state state;
    } words[] = {{SLICE_INIT("pending"), ACME_PENDING}, {SLICE_INIT("ready"), ACME_READY},
        {SLICE_INIT("processing"), ACME_PROCESSING}, {SLICE_INIT("valid"), ACME_VALID}};
    struct slice text = json_text_of(object, "status");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(text, words[i].word))
            return words[i].state;
    return ACME_INVALID;
}

/* What is shown on terminals and in logs: no control bytes, not too much. */
static struct slice make_plain(struct arena *arena, struct slice text)
{
    struct slice copy = arena_copy(arena, slice_head(text, TEXT_SHOWN));
    for (size_t i = 0; copy.data && i < copy.size; i++)
        if ((unsigned char)copy.data[i] < ' ' || copy.data[i] == 0x7f)
            ((char *)copy.data)[i] = ' ';
    return copy.data ? copy : SLICE_NONE;
}

static void read_problem(
    struct arena *arena, const struct json_value *object, struct acme_problem *ret_problem)
{
    struct slice type = json_text_of(object, "type");
    if (slice_has_prefix(type, ERROR_PREFIX))
        type = slice_from(type, ERROR_PREFIX.size);
    ret_problem->type = make_plain(arena, type);
    ret_problem->detail = make_plain(arena, json_text_of(object, "detail"));
}

void acme_read_problem(struct arena *arena, struct slice text, struct acme_problem *ret_problem)
{
    struct json_value *root;
    *ret_problem = (struct acme_problem){.type = SLICE_NONE};
    if (!json_parse(arena, text, NULL, &root, NULL))
        read_problem(arena, root, ret_problem);
}

enum status acme_read_directory(
    struct arena *arena, struct slice text, struct acme_directory *ret_directory)
{
    struct json_value *root;
    struct acme_directory directory = {.needs_binding = false};
    enum status e = json_parse(arena, text, NULL, &root, NULL);
    if (e)
        return e == NO_MEMORY ? e : INVALID;
    directory.new_nonce = url_of(root, "newNonce");
    directory.new_account = url_of(root, "newAccount");
    directory.new_order = url_of(root, "newOrder");
    (void)json_get_bool(
        json_get(root, SLICE("meta")), SLICE("externalAccountRequired"), &directory.needs_binding);
    if (!directory.new_nonce.size || !directory.new_account.size || !directory.new_order.size)
        return INVALID;
    *ret_directory = directory;
    return OK;
}

static enum status read_authorization_urls(const struct json_value *list, struct acme_order *order)
{
    if (!list || list->type != JSON_ARRAY || list->count > ACME_AUTHORIZATIONS_MAX)
        return INVALID;
    json_each (item, list) {
        if (item->type != JSON_STRING || !is_url(item->text))
            return INVALID;
        order->authorizations[order->authorization_count++] = item->text;
    }
    return OK;
}

enum status acme_read_order(struct arena *arena, struct slice text, struct acme_order *ret_order)
{
    struct json_value *root;
    struct acme_order order = {.authorization_count = 0};
    enum status e = json_parse(arena, text, NULL, &root, NULL);
    if (e)
        return e == NO_MEMORY ? e : INVALID;
    order.state = state_of(root);
    order.finalize = url_of(root, "finalize");
    order.certificate = url_of(root, "certificate");
    read_problem(arena, json_get(root, SLICE("error")), &order.problem);
    e = read_authorization_urls(json_get(root, SLICE("authorizations")), &order);
    if (!e && !order.finalize.size)
        e = INVALID;
    if (!e)
        *ret_order = order;
    return e;
}

/* Tokens become a part of a path and of an answer: base64url alone (§8.1). */
static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return text.size > 0 && text.size <= TOKEN_MAX;
}

/* Kinds of challenge that we do not know may look in any way. */
static void read_challenge(
    struct arena *arena, const struct json_value *object, struct acme_authorization *authorization)
{
    struct acme_challenge challenge = {.type = json_text_of(object, "type"),
        .url = url_of(object, "url"),
        .token = json_text_of(object, "token"),
        .state = state_of(object)};
    read_problem(arena, json_get(object, SLICE("error")), &challenge.problem);
    if (challenge.url.size && is_token(challenge.token) &&
        authorization->challenge_count < ACME_CHALLENGES_MAX)
        authorization->challenges[authorization->challenge_count++] = challenge;
}

enum status acme_read_authorization(
    struct arena *arena, struct slice text, struct acme_authorization *ret_authorization)
{
    struct json_value *root;
    struct acme_authorization authorization = {.challenge_count = 0};
    enum status e = json_parse(arena, text, NULL, &root, NULL);
    if (e)
        return e == NO_MEMORY ? e : INVALID;
    authorization.state = state_of(root);
    authorization.name = json_text_of(json_get(root, SLICE("identifier")), "value");
    (void)json_get_bool(root, SLICE("wildcard"), &authorization.is_wildcard);
    const struct json_value *list = json_array_of(root, "challenges");
    if (!authorization.name.size || !list)
        return INVALID;
    json_each (item, list)
        read_challenge(arena, item, &authorization);
    *ret_authorization = authorization;
    return OK;
}

int64_t acme_read_retry_after(struct slice value, int64_t now)
{
    uint64_t seconds;
    int64_t date;
    if (slice_to_u64(value, &seconds))
        return seconds < WAIT_MOST ? (int64_t)seconds : WAIT_MOST;
    if (!clock_parse_http_date(value, &date) || date <= now / SECOND)
        return 0;
    return date - now / SECOND < WAIT_MOST ? date - now / SECOND : WAIT_MOST;
}
