#include "base/status.h"

#include <ctype.h>

#include "support/unit.h"

static void words_are_plain_and_different(void **state)
{
    (void)state;
    for (int e = 0; e < STATUS_COUNT; e++) {
        const char *word = status_word((enum status)e);
        assert_int_not_equal(word[0], '\0');
        for (const char *p = word; *p; p++)
            if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-')
                fail_msg("\"%s\" is not one plain word", word);
        for (int other = 0; other < e; other++)
            assert_string_not_equal(word, status_word((enum status)other));
    }
}

static void sentences_end(void **state)
{
    (void)state;
    for (int e = 0; e < STATUS_COUNT; e++) {
        const char *sentence = status_sentence((enum status)e);
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
        assert_true(isupper((unsigned char)sentence[0]));
    }
}

/* What is an answer is an error; the error types that we name are those of RFC 9209 §2.3. */
static void answers_are_errors(void **state)
{
    (void)state;
    static const char *const types[] = {"", "dns_timeout", "dns_error", "destination_not_found",
        "destination_unavailable", "destination_ip_prohibited", "destination_ip_unroutable",
        "connection_refused", "connection_terminated", "connection_timeout",
        "connection_read_timeout", "connection_write_timeout", "connection_limit_reached",
        "tls_protocol_error", "tls_certificate_error", "tls_alert_received", "http_request_error",
        "http_request_denied", "http_response_incomplete", "http_response_header_section_size",
        "http_response_header_size", "http_response_body_size",
        "http_response_trailer_section_size", "http_response_trailer_size",
        "http_response_transfer_coding", "http_response_content_coding", "http_response_timeout",
        "http_upgrade_failed", "http_protocol_error", "proxy_internal_response",
        "proxy_internal_error", "proxy_configuration_error", "proxy_loop_detected"};
    for (int e = 0; e < STATUS_COUNT; e++) {
        int http = status_http((enum status)e);
        assert_true(http == 0 || (http >= 400 && http <= 599));
        size_t i = 0, count = sizeof types / sizeof *types;
        while (i < count && strcmp(types[i], status_proxy_error((enum status)e)) != 0)
            i++;
        if (i == count)
            fail_msg("RFC 9209 has no %s", status_proxy_error((enum status)e));
    }
    assert_int_equal(status_http(OK), 0);
    assert_int_equal(status_http(UPSTREAM_TIMEOUT), 504);
    assert_string_equal(status_word(UPSTREAM_TIMEOUT), "upstream-timeout");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_plain_and_different),
        cmocka_unit_test(sentences_end),
        cmocka_unit_test(answers_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
