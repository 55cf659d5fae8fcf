#include "jose/jwt.h"

#include <math.h>

/* Beyond this a double has no seconds any more; it is far enough for any token. */
#define SECONDS_MAX ((int64_t)1 << 53)

enum status jwt_read(
    struct arena *arena, struct slice payload, const struct json_value **ret_claims)
{
    const struct json_limits limits = {.depth = 32};
    struct json_value *root;
    enum status e = json_parse(arena, payload, &limits, &root, NULL);
    if (e)
        return e == NO_MEMORY ? e : TOKEN_MALFORMED;
    if (root->type != JSON_OBJECT)
        return TOKEN_MALFORMED;
    *ret_claims = root;
    return OK;
}

/* A NumericDate (RFC 7519 §2), which may have a fraction: the second that it is in. False when the
 * claim is there but none; `*ret_seconds` stays as it is when there is no claim. */
static bool get_time(const struct json_value *claims, struct slice name, int64_t *ret_seconds)
{
    const struct json_value *claim = json_get(claims, name);
    double seconds;
    if (!claim)
        return true;
    if (claim->type != JSON_NUMBER || json_to_double(claim->text, &seconds))
        return false;
    seconds = fmin(fmax(seconds, -(double)SECONDS_MAX), (double)SECONDS_MAX);
    *ret_seconds = (int64_t)floor(seconds);
    return true;
}

#define ABSENT INT64_MIN

static enum status check_times(
    const struct json_value *claims, const struct jwt_rules *rules, int64_t now, int64_t *ret_until)
{
    int64_t expires = ABSENT, begins = ABSENT, issued = ABSENT, until = INT64_MAX;
    if (!get_time(claims, SLICE("exp"), &expires) || !get_time(claims, SLICE("nbf"), &begins) ||
        !get_time(claims, SLICE("iat"), &issued))
        return TOKEN_MALFORMED;
    if ((expires == ABSENT && !rules->may_lack_expiry) || (issued == ABSENT && rules->age_max > 0))
        return TOKEN_CLAIM;
    if (expires != ABSENT)
        until = expires + rules->leeway;
    if (rules->age_max > 0 && issued + rules->age_max + rules->leeway < until)
        until = issued + rules->age_max + rules->leeway;
    if (now >= until)
        return TOKEN_EXPIRED;
    if ((begins != ABSENT && now + rules->leeway < begins) ||
        (issued != ABSENT && now + rules->leeway < issued))
        return TOKEN_NOT_YET_VALID;
    *ret_until = until;
    return OK;
}

static bool is_among(struct slice word, struct jwt_words words)
{
    for (size_t i = 0; i < words.count; i++)
        if (slice_equal(words.items[i], word))
            return true;
    return false;
}

bool jwt_is_from(const struct json_value *claims, const struct jwt_words *issuers)
{
    struct slice issuer;
    return json_get_text(claims, SLICE("iss"), &issuer) && is_among(issuer, *issuers);
}

static enum status check_issuer(const struct json_value *claims, const struct jwt_rules *rules)
{
    return rules->issuers.count == 0 || jwt_is_from(claims, &rules->issuers) ? OK : TOKEN_ISSUER;
}

/* "aud" is a string or an array of strings (RFC 7519 §4.1.3). */
static enum status check_audience(const struct json_value *claims, const struct jwt_rules *rules)
{
    const struct json_value *audience = json_get(claims, SLICE("aud"));
    if (rules->audiences.count == 0)
        return OK;
    if (audience && audience->type == JSON_STRING && is_among(audience->text, rules->audiences))
        return OK;
    if (audience && audience->type == JSON_ARRAY)
        json_each (item, audience)
            if (item->type == JSON_STRING && is_among(item->text, rules->audiences))
                return OK;
    return TOKEN_AUDIENCE;
}

static enum status check_required(const struct json_value *claims, const struct jwt_rules *rules)
{
    for (size_t i = 0; i < rules->required.count; i++) {
        const struct json_value *claim = json_get(claims, rules->required.items[i]);
        if (!claim || claim->type == JSON_NULL)
            return TOKEN_CLAIM;
    }
    return OK;
}

enum status jwt_check(
    const struct json_value *claims, const struct jwt_rules *rules, int64_t now, int64_t *ret_until)
{
    int64_t until = 0;
    enum status e = check_times(claims, rules, now, &until);
    if (!e)
        e = check_issuer(claims, rules);
    if (!e)
        e = check_audience(claims, rules);
    if (!e)
        e = check_required(claims, rules);
    if (!e)
        *ret_until = until;
    return e;
}
