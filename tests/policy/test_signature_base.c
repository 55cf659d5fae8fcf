/* The examples of RFC 9421, appendix B.2, with the keys of B.1, and those of §2.2 and §2.1. */
#include "policy/signature_base.h"

#include <stdio.h>

#include "jose/jws.h"
#include "policy/content_digest.h"
#include "policy/signature_keys.h"
#include "support/arena_fixture.h"
#include "support/unit.h"

#define BODY "{\"hello\": \"world\"}"
#define DIGEST                                                                                  \
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHW" \
    "XvJwew==:"
#define KEYS                                                                                       \
    "{\"keys\":[{\"kid\":\"test-key-rsa-pss\",\"kty\":\"RSA\",\"alg\":\"PS512\",\"e\":\"AQAB\","   \
    "\"n\":\"r4tmm3r20Wd_PbqvP1s2-QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct-Lh1GH45x28Rw3Ry53mm-" \
    "oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuY" \
    "LPL-Wokqltd11nqqzi-bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GV" \
    "AdVw9lq4aOT9v6d-nb4bnNkQVklLQ3fVAvJm-xdDOp9LCNCN48V2pnDOkFV6-U9nV5oyc6XI2w\"},"               \
    "{\"kid\":\"test-key-ed25519\",\"kty\":\"OKP\",\"crv\":\"Ed25519\","                           \
    "\"x\":\"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs\",\"claims\":{\"plan\":\"pro\"}},"        \
    "{\"kid\":\"test-shared-secret\",\"kty\":\"oct\",\"k\":"                                       \
    "\"uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ\","  \
    "\"claims\":{\"sub\":\"acme\"}}]}"

#define ED25519                                                 \
    "{\"kid\":\"a\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":" \
    "\"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs\"}"

static struct http_request request_of(const char *method, const char *target, const char *scheme)
{
    struct http_request request = {.method_text = slice_of_text(method),
        .target = slice_of_text(target),
        .scheme = slice_of_text(scheme),
        .authority = SLICE("example.com"),
        .host = SLICE("example.com")};
    fields_init(&request.fields, &arena);
    return request;
}

static void add(struct http_request *request, const char *name, const char *value)
{
    struct slice field = slice_of_text(name);
    assert_ok(fields_add(&request->fields, field_id_of(field), field, slice_of_text(value)));
}

static struct http_request test_request(void)
{
    struct http_request request = request_of("POST", "/foo?param=Value&Pet=dog", "https");
    add(&request, "Host", "example.com");
    add(&request, "Date", "Tue, 20 Apr 2021 02:07:55 GMT");
    add(&request, "Content-Type", "application/json");
    add(&request, "Content-Digest", DIGEST);
    add(&request, "Content-Length", "18");
    return request;
}

/* The base of the one signature in `input`; NULL: it has none. */
static const char *base_of(const struct http_request *request, const char *input)
{
    struct structured_member *first;
    struct text text = text_growing(0);
    assert_ok(structured_parse_dictionary(&arena, slice_of_text(input), &first));
    enum status e = signature_base_write(&arena, request, first, &text);
    const char *copy = arena_text(&arena, text_slice(&text));
    text_release(&text);
    if (e)
        assert_status(e, INVALID);
    return e ? NULL : copy;
}

static const struct {
    const char *input, *signature, *base;
} vectors[] = {
    {"sig-b21=();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"",
        "s=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbt"
        "Rxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhz"
        "x2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5"
        "TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
        "\"@signature-params\": "
        "();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\""},
    {"sig-b22=(\"@authority\" \"content-digest\" "
     "\"@query-param\";name=\"Pet\");created=1618884473;keyid=\"test-key-rsa-pss\";tag=\"header-"
     "example\"",
        "s=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJy"
        "E5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17S"
        "ARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3"
        "I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
        "\"@authority\": example.com\n\"content-digest\": " DIGEST
        "\n\"@query-param\";name=\"Pet\": dog\n\"@signature-params\": (\"@authority\" "
        "\"content-digest\" \"@query-param\";name=\"Pet\");created=1618884473;keyid=\"test-key-rsa-"
        "pss\";tag=\"header-example\""},
    {"sig-b23=(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" "
     "\"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\"",
        "s=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qR"
        "pRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH"
        "1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9"
        "eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@query\": "
        "?param=Value&Pet=dog\n\"@authority\": example.com\n\"content-type\": "
        "application/json\n\"content-digest\": " DIGEST
        "\n\"content-length\": 18\n\"@signature-params\": (\"date\" \"@method\" \"@path\" "
        "\"@query\" \"@authority\" \"content-type\" \"content-digest\" "
        "\"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\""},
    {"sig-b25=(\"date\" \"@authority\" "
     "\"content-type\");created=1618884473;keyid=\"test-shared-secret\"",
        "s=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": "
        "application/json\n\"@signature-params\": (\"date\" \"@authority\" "
        "\"content-type\");created=1618884473;keyid=\"test-shared-secret\""},
    {"sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" "
     "\"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
        "s=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw="
        "="
        ":",
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": "
        "/foo\n\"@authority\": example.com\n\"content-type\": "
        "application/json\n\"content-length\": 18\n\"@signature-params\": (\"date\" \"@method\" "
        "\"@path\" \"@authority\" \"content-type\" "
        "\"content-length\");created=1618884473;keyid=\"test-key-ed25519\""},
};

static enum status verify(const char *input, const char *signature, const char *base)
{
    struct signature_keys keys;
    struct structured_member *inputs, *signatures;
    const char *why = NULL;
    assert_ok(signature_keys_read(&arena, SLICE(KEYS), &keys, &why));
    assert_ok(structured_parse_dictionary(&arena, slice_of_text(input), &inputs));
    assert_ok(structured_parse_dictionary(&arena, slice_of_text(signature), &signatures));
    const struct signature_key *key =
        signature_keys_find(&keys, structured_get_parameter(inputs, SLICE("keyid"))->text);
    assert_non_null(key);
    const struct jws jws = {.algorithm = key->algorithm,
        .id = key->id,
        .input = slice_of_text(base),
        .signature = signatures->value.text};
    enum status e = jws_verify(&jws, keys.set);
    signature_keys_release(&keys);
    return e;
}

static void the_standards_signatures_are_good(void **state)
{
    (void)state;
    struct http_request request = test_request();
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const char *base = base_of(&request, vectors[i].input);
        assert_non_null(base);
        assert_string_equal(base, vectors[i].base);
        assert_ok(verify(vectors[i].input, vectors[i].signature, base));
        char *other = arena_text(&arena, slice_of_text(base));
        other[strlen(other) / 2] ^= 1;
        assert_status(verify(vectors[i].input, vectors[i].signature, other), TOKEN_SIGNATURE);
    }
}

/* One component's line, without what follows. */
static void check_line(
    const struct http_request *request, const char *component, const char *expected)
{
    char input[300];
    snprintf(input, sizeof input, "s=(%s)", component);
    const char *base = base_of(request, input);
    if (!expected) {
        assert_null(base);
        return;
    }
    assert_non_null(base);
    char line[600];
    snprintf(line, sizeof line, "%s: %s\n\"@signature-params\"", component, expected);
    if (strncmp(base, line, strlen(line)) != 0)
        fail_msg("%s", base);
}

static void derived_components(void **state)
{
    (void)state;
    struct http_request request = request_of("POST", "/path?param=value&qux=&a=1&a=2", "https");
    check_line(&request, "\"@method\"", "POST");
    check_line(&request, "\"@target-uri\"", "https://example.com/path?param=value&qux=&a=1&a=2");
    check_line(&request, "\"@authority\"", "example.com");
    check_line(&request, "\"@scheme\"", "https");
    check_line(&request, "\"@request-target\"", "/path?param=value&qux=&a=1&a=2");
    check_line(&request, "\"@path\"", "/path");
    check_line(&request, "\"@query\"", "?param=value&qux=&a=1&a=2");
    check_line(&request, "\"@query-param\";name=\"param\"", "value");
    check_line(&request, "\"@query-param\";name=\"qux\"", "");
    check_line(&request, "\"@query-param\";name=\"a\"", NULL); /* it is there twice */
    check_line(&request, "\"@query-param\";name=\"b\"", NULL);
    check_line(&request, "\"@query-param\"", NULL);
    check_line(&request, "\"@method\";req", NULL);
    check_line(&request, "\"@status\"", NULL);
    check_line(&request, "\"@unknown\"", NULL);
    check_line(&request, "method", NULL);
    check_line(&request, "\"@method\" \"@method\"", NULL);
    request.authority = SLICE("Example.COM:443");
    check_line(&request, "\"@authority\"", "example.com");
    request.authority = SLICE("[A_Z]:80"); /* the neighbours of letters stay */
    check_line(&request, "\"@authority\"", "[a_z]:80");
    request.authority = SLICE(":443");
    check_line(&request, "\"@authority\"", NULL);
    request.authority = SLICE("example.com:8443");
    check_line(&request, "\"@authority\"", "example.com:8443");
    request.target = SLICE("https://www.example.com?q");
    check_line(&request, "\"@path\"", "/");
    check_line(&request, "\"@query\"", "?q");
    check_line(&request, "\"@request-target\"", "https://www.example.com?q");
    request.target = SLICE("/a%2Fb");
    check_line(&request, "\"@path\"", "/a%2Fb");
    check_line(&request, "\"@query\"", "?");
    request.target = SLICE("www.example.com:80");
    check_line(&request, "\"@path\"", NULL);
    check_line(&request, "\"@query\"", NULL);
    request.target = SLICE("/?=x&a=%zz&a=1");
    check_line(&request, "\"@query-param\";name=1", NULL);
    check_line(&request, "\"@query-param\";name=\"a\"", NULL);
    request.target = SLICE(
        "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7"
        "ade%22%3A%20=something");
    check_line(
        &request, "\"@query-param\";name=\"var\"", "this%20is%20a%20big%0Amultiline%20value");
    check_line(&request, "\"@query-param\";name=\"bar\"", "with%20plus%20whitespace");
    check_line(&request, "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\"", "something");
}

static void fields_in_all_their_forms(void **state)
{
    (void)state;
    struct http_request request = request_of("GET", "/", "https");
    add(&request, "X-Ows", "  Leading and trailing whitespace.   ");
    add(&request, "Cache-Control", "max-age=60");
    add(&request, "Cache-Control", "   must-revalidate");
    add(&request, "Example-Dict", " a=1, b=2;x=1;y=2, c=(a   b    c), d");
    add(&request, "Priority", "u=1,   i");
    add(&request, "Content-Digest", "sha-256=:AAAA:,  md5=:AAAA:");
    add(&request, "Proxy-Status", "weir;  error=x,  other");
    add(&request, "Idempotency-Key", "\"k\";   a");
    add(&request, "X-A", "a");
    add(&request, "X-Empty", "");
    check_line(&request, "\"x-ows\"", "Leading and trailing whitespace.");
    check_line(&request, "\"cache-control\"", "max-age=60, must-revalidate");
    check_line(&request, "\"cache-control\";bs", ":bWF4LWFnZT02MA==:, :bXVzdC1yZXZhbGlkYXRl:");
    check_line(&request, "\"example-dict\";key=\"a\"", "1");
    check_line(&request, "\"example-dict\";key=\"b\"", "2;x=1;y=2");
    check_line(&request, "\"example-dict\";key=\"c\"", "(a b c)");
    check_line(&request, "\"example-dict\";key=\"d\"", "?1");
    check_line(&request, "\"priority\";sf", "u=1, i");
    check_line(&request, "\"content-digest\";sf", "sha-256=:AAAA:, md5=:AAAA:");
    check_line(&request, "\"proxy-status\";sf", "weir;error=x, other");
    check_line(&request, "\"idempotency-key\";sf", "\"k\";a");
    check_line(&request, "\"x-empty\"", "");
    check_line(&request, "\"example-dict\";key=\"e\"", NULL);
    check_line(&request, "\"example-dict\";sf", NULL); /* of what kind it is, nobody knows */
    check_line(&request, "\"cache-control\";bs;sf", NULL);
    check_line(&request, "\"x-ows\";tr", NULL);
    check_line(&request, "\"x-ows\";what", NULL);
    check_line(&request, "\"X-Ows\"", NULL);
    check_line(&request, "\"x-A\"", NULL);
    check_line(&request, "\"x-missing\"", NULL);
    check_line(&request, "\"\"", NULL);
}

static void too_many_components_are_refused(void **state)
{
    (void)state;
    struct http_request request = request_of("GET", "/", "https");
    struct text text = text_growing(0);
    text_add_literal(&text, "s=(");
    for (int i = 0; i <= SIGNATURE_COMPONENTS_MAX; i++) {
        const char *name = arena_format(&arena, "x-%d", i).data;
        add(&request, name, "v");
        if (i == SIGNATURE_COMPONENTS_MAX)
            assert_non_null(base_of(
                &request, arena_format(&arena, "%.*s)", SLICE_ARG(text_slice(&text))).data));
        text_format(&text, " \"%s\"", name);
    }
    text_add_literal(&text, ")");
    assert_null(base_of(&request, arena_text(&arena, text_slice(&text))));
    text_release(&text);
}

static void the_component_of_a_field_is_found(void **state)
{
    (void)state;
    struct structured_member *first;
    assert_ok(structured_parse_dictionary(
        &arena, SLICE("s=(date \"@method\" \"date\";key=\"a\" \"other\")"), &first));
    const struct structured_member *found = signature_find_component(first, SLICE("date"));
    assert_non_null(found);
    assert_slice(structured_get_parameter(found, SLICE("key"))->text, "a");
    assert_null(signature_find_component(first, SLICE("dat")));
}

static void what_follows_from_others_is_covered(void **state)
{
    (void)state;
    static const struct {
        const char *input, *name;
        bool is_covered;
    } rows[] = {
        {"s=(\"@method\" \"date\")", "date", true},
        {"s=(\"@method\" \"date\")", "@path", false},
        {"s=(\"@target-uri\")", "@path", true},
        {"s=(\"@target-uri\")", "@request-target", true},
        {"s=(\"@target-uri\")", "@authority", true},
        {"s=(\"@target-uri\")", "@scheme", true},
        {"s=(\"@target-uri\")", "@method", false},
        {"s=(\"@authority\" \"@request-target\")", "@scheme", false},
        {"s=(\"@path\" \"@query\" \"@authority\")", "@target-uri", true},
        {"s=(\"@request-target\" \"@authority\")", "@target-uri", true},
        {"s=(\"@path\" \"@authority\")", "@target-uri", false},
        {"s=(\"@request-target\")", "@query", true},
        {"s=(\"@request-target\")", "@authority", false},
        {"s=(\"content-digest\";key=\"sha-256\")", "content-digest", false},
        {"s=()", "@method", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct structured_member *first;
        assert_ok(structured_parse_dictionary(&arena, slice_of_text(rows[i].input), &first));
        if (signature_covers(first, slice_of_text(rows[i].name)) != rows[i].is_covered)
            fail_msg("%s in %s", rows[i].name, rows[i].input);
    }
}

/* RFC 9530, appendix B and D. */
static void digests_are_held_against_the_body(void **state)
{
    (void)state;
    static const char sha256[] = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    struct slice line = SLICE(BODY "\n");
    assert_ok(content_digest_check(&arena, SLICE(DIGEST), SLICE(""), SLICE(BODY)));
    assert_ok(content_digest_check(&arena, slice_of_text(sha256), SLICE(""), line));
    assert_ok(content_digest_check(&arena, slice_of_text(sha256), SLICE("sha-256"), line));
    assert_ok(content_digest_check(&arena,
        SLICE("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"), SLICE(""), SLICE("")));
    static const char *const wrong[] = {"", "sha-256", "sha-256=1", "sha-256=::", "md5=:AAAA:",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:, sha-512=:AAAA:", "?",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDk=:"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_status(
            content_digest_check(&arena, slice_of_text(wrong[i]), SLICE(""), line), DIGEST_WRONG);
    assert_status(
        content_digest_check(&arena, slice_of_text(sha256), SLICE("sha-512"), line), DIGEST_WRONG);
}

static void keys_say_whose_and_what_for_they_are(void **state)
{
    (void)state;
    struct signature_keys keys;
    struct slice subject;
    const char *why = NULL;
    assert_ok(signature_keys_read(&arena, SLICE(KEYS), &keys, &why));
    const struct signature_key *key = signature_keys_find(&keys, SLICE("test-key-ed25519"));
    assert_true(json_get_text(key->claims, SLICE("sub"), &subject));
    assert_slice(subject, "test-key-ed25519");
    assert_slice(json_text_of(key->claims, "plan"), "pro");
    key = signature_keys_find(&keys, SLICE("test-shared-secret"));
    assert_slice(json_text_of(key->claims, "sub"), "acme");
    assert_slice(signature_algorithm_name(key->algorithm), "hmac-sha256");
    assert_null(signature_keys_find(&keys, SLICE("")));
    signature_keys_release(&keys);
    static const struct {
        const char *text, *said;
    } wrong[] = {
        {"{}", ""},
        {ED25519, "JWK Set"},
        {"{\"keys\":[" ED25519 "," ED25519 "]}", "kid"},
        {"{\"keys\":[{\"kid\":\"a\",\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
            "Ed25519"},
        {"{\"keys\":[]}", "no key"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"a\"}]}", ""},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"JrQLj5P_89iXES9-"
         "vFgrIy29clF9CC_oPPsw3c5D0bs\"}]}",
            "kid"},
        {"{\"keys\":[{\"kid\":\"a\",\"claims\":1,\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
         "\"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs\"}]}",
            "claims"},
        {"{\"keys\":[{\"kid\":\"a\",\"alg\":\"HS512\",\"kty\":\"oct\",\"k\":"
         "\"uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ"
         "\"}]}",
            "alg"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        why = "";
        assert_status(
            signature_keys_read(&arena, slice_of_text(wrong[i].text), &keys, &why), INVALID);
        if (!strstr(why, wrong[i].said))
            fail_msg("%s: %s", wrong[i].text, why);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_standards_signatures_are_good),
        TEST(derived_components),
        TEST(fields_in_all_their_forms),
        TEST(too_many_components_are_refused),
        TEST(the_component_of_a_field_is_found),
        TEST(what_follows_from_others_is_covered),
        TEST(digests_are_held_against_the_body),
        TEST(keys_say_whose_and_what_for_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
