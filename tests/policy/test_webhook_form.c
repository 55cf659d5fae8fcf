#include "policy/webhook_form.h"

#include "support/arena_fixture.h"
#include "support/unit.h"

#define HEX  "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
#define CODE "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define SIGNED \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="

static const struct webhook_form *form_of(const char *word)
{
    for (const struct webhook_form *form = webhook_forms; form->word; form++)
        if (strcmp(form->word, word) == 0)
            return form;
    fail_msg("there is no form %s", word);
    return NULL;
}

/* Fields as "Name: value" lines. */
static enum webhook_fault read_claim(
    const char *form, const char *head, struct webhook_claim *ret_claim)
{
    struct fields fields;
    struct slice rest = slice_of_text(head), line;
    fields_init(&fields, &arena);
    while (slice_split(&rest, '\n', &line)) {
        size_t colon = slice_find(line, ':');
        struct slice name = slice_head(line, colon);
        assert_ok(
            fields_add(&fields, field_id_of(name), name, slice_trim(slice_from(line, colon + 1))));
    }
    return webhook_claim_read(form_of(form), &fields, ret_claim);
}

static const char *prefix_of(const char *form, const struct webhook_claim *claim)
{
    struct text text = text_growing(0);
    webhook_claim_add_prefix(form_of(form), claim, &text);
    const char *copy = arena_text(&arena, text_slice(&text));
    text_release(&text);
    return copy;
}

static void each_form_reads_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *form, *head;
        unsigned count;
        const char *prefix, *id;
    } rows[] = {
        {"standard", "webhook-id: msg_1\nwebhook-timestamp: 17\nwebhook-signature: v1," CODE, 1,
            "msg_1.17.", "msg_1"},
        {"standard",
            "Webhook-Id: m\nWebhook-Timestamp: 17\nWebhook-Signature: v1a," SIGNED " v1," CODE
            " v2,new v1," CODE,
            3, "m.17.", "m"},
        {"svix", "svix-id: m\nsvix-timestamp: 17\nsvix-signature: v1," CODE, 1, "m.17.", "m"},
        {"stripe", "Stripe-Signature: t=17,v1=" HEX ",v0=" HEX ",v1=" HEX, 2, "17.", ""},
        {"stripe", "Stripe-Signature: v1=" HEX ", t=17", 1, "17.", ""},
        {"github", "X-Hub-Signature-256: sha256=" HEX "\nX-GitHub-Delivery: d-1", 1, "", "d-1"},
        {"github", "X-Hub-Signature-256: sha256=" HEX "\nX-Hub-Signature: sha1=00", 1, "", ""},
        {"slack", "X-Slack-Signature: v0=" HEX "\nX-Slack-Request-Timestamp: 017", 1,
            "v0:017:", ""},
        {"shopify", "X-Shopify-Hmac-Sha256: " CODE "\nX-Shopify-Webhook-Id: w", 1, "", "w"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct webhook_claim claim;
        assert_int_equal(read_claim(rows[i].form, rows[i].head, &claim), WEBHOOK_GOOD);
        assert_int_equal(claim.count, rows[i].count);
        assert_string_equal(prefix_of(rows[i].form, &claim), rows[i].prefix);
        assert_slices(claim.id, slice_of_text(rows[i].id));
    }
}

static void signatures_are_decoded(void **state)
{
    (void)state;
    struct webhook_claim claim;
    static const unsigned char first[] = {0x75, 0x71, 0x07, 0xea};
    assert_int_equal(read_claim("github", "X-Hub-Signature-256: sha256=" HEX, &claim), 0);
    assert_memory_equal(claim.signatures[0].bytes, first, 4);
    assert_int_equal(claim.signatures[0].size, 32);
    assert_int_equal(
        read_claim("standard",
            "webhook-id: m\nwebhook-timestamp: 1\nwebhook-signature: v1a," SIGNED, &claim),
        0);
    assert_true(claim.signatures[0].is_ed25519);
    assert_int_equal(claim.signatures[0].size, 64);
    assert_int_equal(claim.signatures[0].bytes[63], 63);
}

#define STANDARD(signature) "webhook-id: m\nwebhook-timestamp: 17\nwebhook-signature: " signature
#define EIGHT \
    "v1," CODE " v1," CODE " v1," CODE " v1," CODE " v1," CODE " v1," CODE " v1," CODE " v1," CODE

static void what_is_wrong_is_not_taken(void **state)
{
    (void)state;
    static const struct {
        const char *form, *head;
        enum webhook_fault fault;
    } rows[] = {
        {"github", "X: y", WEBHOOK_UNSIGNED},
        {"github", "X-Hub-Signature-256:", WEBHOOK_UNSIGNED},
        {"github", "X-Hub-Signature: sha1=0000", WEBHOOK_UNSIGNED},
        {"github", "X-Hub-Signature-256: " HEX, WEBHOOK_UNSIGNED},
        {"github", "X-Hub-Signature-256: sha1=" HEX, WEBHOOK_UNSIGNED},
        {"github", "X-Hub-Signature-256: sha256=", WEBHOOK_MALFORMED},
        {"github", "X-Hub-Signature-256: sha256=" HEX "00", WEBHOOK_MALFORMED},
        {"github", "X-Hub-Signature-256: sha256=" HEX " ", WEBHOOK_GOOD}, /* no part of a value */
        {"github", "X-Hub-Signature-256: sha256=" CODE, WEBHOOK_MALFORMED},
        {"github", "X-Hub-Signature-256: sha256=" HEX ",sha256=" HEX, WEBHOOK_MALFORMED},
        {"github", "X-Hub-Signature-256: sha256=" HEX "\nX-Hub-Signature-256: sha256=" HEX,
            WEBHOOK_MALFORMED},
        {"github",
            "X-Hub-Signature-256: sha256=" HEX "\nX-GitHub-Delivery: a\nX-GitHub-Delivery: b",
            WEBHOOK_MALFORMED},
        {"stripe", "Stripe-Signature: v1=" HEX, WEBHOOK_MALFORMED},
        {"stripe", "Stripe-Signature: t=17", WEBHOOK_UNSIGNED},
        {"stripe", "Stripe-Signature: t=17,t=18,v1=" HEX, WEBHOOK_MALFORMED},
        {"stripe", "Stripe-Signature: t=,v1=" HEX, WEBHOOK_MALFORMED},
        {"stripe", "Stripe-Signature: t=-17,v1=" HEX, WEBHOOK_MALFORMED},
        {"stripe", "Stripe-Signature: t=17x,v1=" HEX, WEBHOOK_MALFORMED},
        {"stripe", "Stripe-Signature: t=99999999999999999999,v1=" HEX, WEBHOOK_MALFORMED},
        {"stripe", "Stripe-Signature: t=253402300800,v1=" HEX, WEBHOOK_MALFORMED},
        {"stripe", "Stripe-Signature: t=17,v1=zz", WEBHOOK_MALFORMED},
        {"slack", "X-Slack-Signature: v0=" HEX, WEBHOOK_MALFORMED},
        {"slack",
            "X-Slack-Signature: v0=" HEX
            "\nX-Slack-Request-Timestamp: 1\nX-Slack-Request-Timestamp: 2",
            WEBHOOK_MALFORMED},
        {"shopify", "X-Shopify-Hmac-Sha256: " HEX, WEBHOOK_MALFORMED},
        {"shopify", "X-Shopify-Hmac-Sha256: AAAA", WEBHOOK_MALFORMED},
        {"standard", STANDARD("v1a," CODE), WEBHOOK_MALFORMED},
        {"standard", STANDARD("v2," CODE), WEBHOOK_UNSIGNED},
        {"standard", STANDARD(EIGHT), WEBHOOK_GOOD},
        {"standard", STANDARD(EIGHT " v1," CODE), WEBHOOK_MALFORMED},
        {"standard", "webhook-timestamp: 17\nwebhook-signature: v1," CODE, WEBHOOK_MALFORMED},
        {"standard", "webhook-id: m\nwebhook-signature: v1," CODE, WEBHOOK_MALFORMED},
        {"standard", "webhook-id: m.1\nwebhook-timestamp: 17\nwebhook-signature: v1," CODE,
            WEBHOOK_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct webhook_claim claim;
        enum webhook_fault fault = read_claim(rows[i].form, rows[i].head, &claim);
        if (fault != rows[i].fault)
            fail_msg("row %zu: %s", i, webhook_fault_word(fault));
    }
}

static void times_are_near_enough_both_ways(void **state)
{
    (void)state;
    struct webhook_claim claim = {.time = 1000};
    static const struct {
        int64_t now;
        enum webhook_fault fault;
    } rows[] = {{1000, WEBHOOK_GOOD}, {1300, WEBHOOK_GOOD}, {1301, WEBHOOK_TOO_OLD},
        {700, WEBHOOK_GOOD}, {699, WEBHOOK_TOO_NEW}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(
            webhook_claim_check_time(form_of("stripe"), &claim, rows[i].now, 300), rows[i].fault);
        assert_int_equal(
            webhook_claim_check_time(form_of("slack"), &claim, rows[i].now, 300), rows[i].fault);
        assert_int_equal(
            webhook_claim_check_time(form_of("github"), &claim, rows[i].now, 300), WEBHOOK_GOOD);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_form_reads_its_own),
        TEST(signatures_are_decoded),
        TEST(what_is_wrong_is_not_taken),
        TEST(times_are_near_enough_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
