#include "jose/jwt.h"

#include "support/unit.h"

#define NOW 1000000

struct row {
    const char *claims;
    enum status verdict;
    int64_t until; /* when it is OK */
};

static void check_row(const struct row *row, const struct jwt_rules *rules)
{
    struct arena arena;
    const struct json_value *claims;
    int64_t until = -1;
    arena_init(&arena, 0, 0);
    enum status e = jwt_read(&arena, slice_of_text(row->claims), &claims);
    if (!e)
        e = jwt_check(claims, rules, NOW, &until);
    arena_release(&arena);
    if (e != row->verdict || until != (e ? -1 : row->until))
        fail_msg("%s: %s until %lld", row->claims, status_word(e), (long long)until);
}

#define check_rows(rows, rules)                                \
    for (size_t i = 0; i < sizeof(rows) / sizeof *(rows); i++) \
    check_row(&(rows)[i], (rules))

static void claims_are_an_object(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", TOKEN_MALFORMED},
        {"[]", TOKEN_MALFORMED},
        {"\"x\"", TOKEN_MALFORMED},
        {"{\"exp\":1}{}", TOKEN_MALFORMED},
        {"{\"exp\":2000000,\"exp\":3}", TOKEN_MALFORMED},
        {"{\"exp\":2000000}", OK, 2000000},
    };
    check_rows(rows, &(struct jwt_rules){0});
}

static void times_bound_a_token(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{}", TOKEN_CLAIM},
        {"{\"exp\":1000001}", OK, 1000001},
        {"{\"exp\":1000000}", TOKEN_EXPIRED},
        {"{\"exp\":1000000.9}", TOKEN_EXPIRED},
        {"{\"exp\":1000001.5}", OK, 1000001},
        {"{\"exp\":1e6}", TOKEN_EXPIRED},
        {"{\"exp\":-1}", TOKEN_EXPIRED},
        {"{\"exp\":-1e300}", TOKEN_EXPIRED},
        {"{\"exp\":1e300}", OK, (int64_t)1 << 53},
        {"{\"exp\":\"1000001\"}", TOKEN_MALFORMED},
        {"{\"exp\":null}", TOKEN_MALFORMED},
        {"{\"exp\":true}", TOKEN_MALFORMED},
        {"{\"exp\":2000000,\"nbf\":1000000}", OK, 2000000},
        {"{\"exp\":2000000,\"nbf\":1000001}", TOKEN_NOT_YET_VALID},
        {"{\"exp\":2000000,\"nbf\":1e300}", TOKEN_NOT_YET_VALID},
        {"{\"exp\":2000000,\"nbf\":[]}", TOKEN_MALFORMED},
        {"{\"exp\":2000000,\"iat\":1000000}", OK, 2000000},
        {"{\"exp\":2000000,\"iat\":1000001}", TOKEN_NOT_YET_VALID},
        {"{\"exp\":2000000,\"iat\":\"\"}", TOKEN_MALFORMED},
    };
    check_rows(rows, &(struct jwt_rules){0});
}

static void clocks_may_differ(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"exp\":999941}", OK, 1000001},
        {"{\"exp\":999940}", TOKEN_EXPIRED},
        {"{\"exp\":2000000,\"nbf\":1000060}", OK, 2000060},
        {"{\"exp\":2000000,\"nbf\":1000061}", TOKEN_NOT_YET_VALID},
        {"{\"exp\":2000000,\"iat\":1000060}", OK, 2000060},
        {"{\"exp\":2000000,\"iat\":1000061}", TOKEN_NOT_YET_VALID},
    };
    check_rows(rows, &(struct jwt_rules){.leeway = 60});
}

static void a_token_may_lack_its_end(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{}", OK, INT64_MAX},
        {"{\"exp\":1}", TOKEN_EXPIRED},
    };
    check_rows(rows, &(struct jwt_rules){.may_lack_expiry = true});
}

static void a_token_may_be_too_old(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"exp\":2000000}", TOKEN_CLAIM},
        {"{\"exp\":2000000,\"iat\":999901}", OK, 1000001},
        {"{\"exp\":2000000,\"iat\":999900}", TOKEN_EXPIRED},
        {"{\"exp\":1000050,\"iat\":999999}", OK, 1000050},
        {"{\"exp\":2000000,\"iat\":-1e300}", TOKEN_EXPIRED},
    };
    check_rows(rows, &(struct jwt_rules){.age_max = 100});
}

static void the_issuer_is_known(void **state)
{
    (void)state;
    static const struct slice issuers[] = {SLICE_INIT("https://a"), SLICE_INIT("https://b")};
    static const struct row rows[] = {
        {"{\"exp\":2000000,\"iss\":\"https://a\"}", OK, 2000000},
        {"{\"exp\":2000000,\"iss\":\"https://b\"}", OK, 2000000},
        {"{\"exp\":2000000,\"iss\":\"https://a/\"}", TOKEN_ISSUER},
        {"{\"exp\":2000000,\"iss\":\"HTTPS://a\"}", TOKEN_ISSUER},
        {"{\"exp\":2000000,\"iss\":[\"https://a\"]}", TOKEN_ISSUER},
        {"{\"exp\":2000000}", TOKEN_ISSUER},
    };
    check_rows(rows, (&(struct jwt_rules){.issuers = {issuers, 2}}));
}

static void the_audience_is_ours(void **state)
{
    (void)state;
    static const struct slice audiences[] = {SLICE_INIT("shop"), SLICE_INIT("bank")};
    static const struct row rows[] = {
        {"{\"exp\":2000000,\"aud\":\"bank\"}", OK, 2000000},
        {"{\"exp\":2000000,\"aud\":[\"x\",\"shop\"]}", OK, 2000000},
        {"{\"exp\":2000000,\"aud\":[]}", TOKEN_AUDIENCE},
        {"{\"exp\":2000000,\"aud\":[[\"shop\"]]}", TOKEN_AUDIENCE},
        {"{\"exp\":2000000,\"aud\":{\"shop\":\"shop\"}}", TOKEN_AUDIENCE},
        {"{\"exp\":2000000,\"aud\":\"shops\"}", TOKEN_AUDIENCE},
        {"{\"exp\":2000000}", TOKEN_AUDIENCE},
    };
    check_rows(rows, (&(struct jwt_rules){.audiences = {audiences, 2}}));
}

static void claims_can_be_asked_for(void **state)
{
    (void)state;
    static const struct slice required[] = {SLICE_INIT("sub"), SLICE_INIT("plan")};
    static const struct row rows[] = {
        {"{\"exp\":2000000,\"sub\":\"u\",\"plan\":\"free\"}", OK, 2000000},
        {"{\"exp\":2000000,\"sub\":\"\",\"plan\":0}", OK, 2000000},
        {"{\"exp\":2000000,\"sub\":\"u\",\"plan\":null}", TOKEN_CLAIM},
        {"{\"exp\":2000000,\"plan\":\"free\"}", TOKEN_CLAIM},
    };
    check_rows(rows, (&(struct jwt_rules){.required = {required, 2}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_are_an_object),
        cmocka_unit_test(times_bound_a_token),
        cmocka_unit_test(clocks_may_differ),
        cmocka_unit_test(a_token_may_lack_its_end),
        cmocka_unit_test(a_token_may_be_too_old),
        cmocka_unit_test(the_issuer_is_known),
        cmocka_unit_test(the_audience_is_ours),
        cmocka_unit_test(claims_can_be_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
