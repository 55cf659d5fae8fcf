#include "http/forwarded.h"

#include "base/text.h"
#include "support/unit.h"

static struct network trusted[3];

static int set_up(void **state)
{
    static struct exchange x;
    memset(&x, 0, sizeof x);
    arena_init(&x.arena, 0, 0);
    fields_init(&x.request.fields, &x.arena);
    x.request.scheme = SLICE("http");
    x.request.authority = SLICE("shop.example");
    *state = &x;
    return network_parse(SLICE("10.0.0.0/8"), &trusted[0]) ||
           network_parse(SLICE("::1"), &trusted[1]) ||
           network_parse(SLICE("fd00::/8"), &trusted[2]);
}

static int tear_down(void **state)
{
    arena_release(&((struct exchange *)*state)->arena);
    return 0;
}

static void comes_from(struct exchange *x, const char *peer)
{
    assert_ok(address_parse_ip(slice_of_text(peer), 4711, &x->peer));
}

static void add(struct exchange *x, const char *name, const char *value)
{
    struct slice n = slice_of_text(name);
    assert_ok(fields_add(&x->request.fields, field_id_of(n), n, slice_of_text(value)));
}

static void read_fields(struct exchange *x)
{
    assert_ok(forwarded_read(x, trusted, sizeof trusted / sizeof *trusted));
}

static void client_is(struct exchange *x, const char *want)
{
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    address_format_ip(&x->client, &text);
    assert_slices(text_slice(&text), slice_of_text(want));
}

static struct slice value(struct exchange *x, const char *name)
{
    return fields_combined(&x->request.fields, slice_of_text(name));
}

/* Reads one field from the trusted 10.0.0.1. */
static void check_client(void **state, const char *name, const char *sent, const char *client)
{
    struct exchange *x = *state;
    fields_init(&x->request.fields, &x->arena);
    comes_from(x, "10.0.0.1");
    add(x, name, sent);
    read_fields(x);
    assert_true(x->is_peer_trusted);
    client_is(x, client);
}

static void an_untrusted_peer_is_the_client(void **state)
{
    struct exchange *x = *state;
    comes_from(x, "192.0.2.1");
    add(x, "X-Forwarded-For", "198.51.100.7");
    add(x, "Forwarded", "for=198.51.100.7");
    add(x, "X-Forwarded-Proto", "https");
    read_fields(x);
    assert_false(x->is_peer_trusted);
    client_is(x, "192.0.2.1");
    assert_slice(x->request.scheme, "http");
}

static void the_walk_stops_at_the_first_stranger(void **state)
{
    static const char *const cases[][2] = {
        {"198.51.100.7", "198.51.100.7"},
        {"198.51.100.7:1234", "198.51.100.7"},
        {"198.51.100.7, 10.2.3.4", "198.51.100.7"},
        {"1.1.1.1, 198.51.100.7, 10.2.3.4", "198.51.100.7"},
        {"1.1.1.1, 10.9.9.9, 198.51.100.7, 10.2.3.4,10.2.3.5", "198.51.100.7"},
        {"10.9.9.9, 10.2.3.4", "10.9.9.9"},
        {"2001:db8::7", "2001:db8::7"},
        {"[2001:db8::7]", "2001:db8::7"},
        {"[2001:db8::7]:80, ::1", "2001:db8::7"},
        {"fd00::1, ::ffff:10.1.1.1", "fd00::1"},
        {"garbage", "10.0.0.1"},
        {"unknown, 10.2.3.4", "10.2.3.4"},
        {"198.51.100.7, unknown, 10.9.9.9, 10.2.3.4", "10.9.9.9"},
        {"198.51.100.7, x, 203.0.113.9, 10.2.3.4", "203.0.113.9"},
        {"198.51.100.7, 10.2.3.4, x", "10.0.0.1"},
        {"unix:/run/x, :80, []", "10.0.0.1"},
        {", ,", "10.0.0.1"},
        {"", "10.0.0.1"},
        {"\"1.1.1.1, 198.51.100.7", "198.51.100.7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_client(state, "X-Forwarded-For", cases[i][0], cases[i][1]);
}

static void several_fields_are_one_list(void **state)
{
    struct exchange *x = *state;
    comes_from(x, "::1");
    add(x, "X-Forwarded-For", "1.1.1.1, 198.51.100.7");
    add(x, "x-forwarded-for", "10.2.3.4");
    read_fields(x);
    client_is(x, "198.51.100.7");
}

static void forwarded_is_read_where_it_is_alone(void **state)
{
    struct exchange *x = *state;
    static const char *const cases[][2] = {
        {"for=198.51.100.7", "198.51.100.7"},
        {"For=\"198.51.100.7:80\";proto=http;by=1.2.3.4", "198.51.100.7"},
        {"proto=http; FOR=\"[2001:db8::7]:4711\"", "2001:db8::7"},
        {"for=1.1.1.1, for=198.51.100.7;host=\"a,b\", for=10.2.3.4", "198.51.100.7"},
        {"for=_hidden, for=10.2.3.4", "10.2.3.4"},
        {"for=unknown", "10.0.0.1"},
        {"for=198.51.100.7;for=1.1.1.1", "10.0.0.1"},
        {"by=198.51.100.7", "10.0.0.1"},
        {"for=\"", "10.0.0.1"},
        {"for", "10.0.0.1"},
        {"for=", "10.0.0.1"},
        {"for =198.51.100.7", "10.0.0.1"},
        {"for=[2001:db8::7]:80", "2001:db8::7"},
        {"for=198.51.100.7;;host=a", "10.0.0.1"},
        {"for=198.51.100.7;", "198.51.100.7"},
        {"host=\"a;for=1.1.1.1\"; for=198.51.100.7", "198.51.100.7"},
        {"host=\"a\\\";for=1.1.1.1\"; for=198.51.100.7", "198.51.100.7"},
        {"for=198.51.100.7 x", "10.0.0.1"},
        {"for=\"198.51.100.7\"x", "10.0.0.1"},
        /* What the client wrote must not hide what the proxy added behind it. */
        {"\"; for=1.1.1.1; x=, for=198.51.100.7", "10.0.0.1"},
        {"for=1.1.1.1;x=\", for=198.51.100.7", "10.0.0.1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_client(state, "Forwarded", cases[i][0], cases[i][1]);
    add(x, "X-Forwarded-For", "203.0.113.9");
    read_fields(x);
    client_is(x, "203.0.113.9");
}

static void a_trusted_peer_tells_the_scheme(void **state)
{
    struct exchange *x = *state;
    check_client(state, "X-Forwarded-Proto", "https", "10.0.0.1");
    assert_slice(x->request.scheme, "https");
    check_client(state, "X-Forwarded-Proto", "gopher", "10.0.0.1");
    assert_slice(x->request.scheme, "https");
}

static void a_loop_is_noticed(void **state)
{
    struct exchange *x = *state;
    comes_from(x, "192.0.2.1");
    for (int i = 0; i < 9; i++)
        assert_ok(via_add(&x->request.fields, HTTP_1_1));
    add(x, "Via", "1.1 weirder, 1.0 other");
    read_fields(x);
    add(x, "Via", "1.1 other, 2 weir");
    assert_status(forwarded_read(x, trusted, 3), LOOP_DETECTED);
}

static void strangers_fields_are_replaced(void **state)
{
    struct exchange *x = *state;
    comes_from(x, "192.0.2.1");
    add(x, "X-Forwarded-For", "198.51.100.7");
    add(x, "X-Forwarded-Host", "evil");
    add(x, "X-Forwarded-Proto", "https");
    add(x, "X-Real-IP", "198.51.100.7");
    add(x, "x_real_ip", "198.51.100.7");
    add(x, "X-Real-IPs", "kept");
    add(x, "X-Forwarded-Port", "1");
    add(x, "X-FORWARDED-Prefix", "/x");
    add(x, "Forwarded", "for=198.51.100.7");
    read_fields(x);
    assert_ok(forwarded_write(x, FORWARDED_X));
    assert_slice(value(x, "X-Forwarded-For"), "192.0.2.1");
    assert_slice(value(x, "X-Forwarded-Host"), "shop.example");
    assert_slice(value(x, "X-Forwarded-Proto"), "http");
    assert_slice(value(x, "X-Forwarded-Port"), "80");
    assert_null(value(x, "X-Forwarded-Prefix").data);
    assert_null(value(x, "X-Real-IP").data);
    assert_null(value(x, "x_real_ip").data);
    assert_slice(value(x, "X-Real-IPs"), "kept");
    assert_null(value(x, "Forwarded").data);
}

static void trusted_fields_are_continued(void **state)
{
    struct exchange *x = *state;
    comes_from(x, "10.0.0.1");
    add(x, "X-Forwarded-For", "198.51.100.7");
    add(x, "X-Forwarded-For", "10.2.3.4");
    add(x, "X-Forwarded-Host", "outside.example");
    add(x, "X-Forwarded-Proto", "https");
    add(x, "X-Forwarded-Prefix", "/x");
    add(x, "X-Real-IP", "198.51.100.7");
    read_fields(x);
    assert_ok(forwarded_write(x, FORWARDED_BOTH));
    assert_slice(value(x, "X-Forwarded-For"), "198.51.100.7, 10.2.3.4, 10.0.0.1");
    assert_slice(value(x, "X-Forwarded-Host"), "outside.example");
    assert_slice(value(x, "X-Forwarded-Proto"), "https");
    assert_slice(value(x, "X-Forwarded-Port"), "443");
    assert_slice(value(x, "X-Forwarded-Prefix"), "/x");
    assert_slice(value(x, "X-Real-IP"), "198.51.100.7");
    assert_slice(
        value(x, "Forwarded"), "for=198.51.100.7, for=10.0.0.1;host=shop.example;proto=https");
}

static void ipv6_is_quoted(void **state)
{
    struct exchange *x = *state;
    comes_from(x, "2001:db8::1");
    x->request.authority = SLICE("[2001:db8::2]:8443");
    read_fields(x);
    assert_ok(forwarded_write(x, FORWARDED_STANDARD));
    assert_slice(
        value(x, "Forwarded"), "for=\"[2001:db8::1]\";host=\"[2001:db8::2]:8443\";proto=http");
    assert_null(value(x, "X-Forwarded-For").data);
    assert_ok(forwarded_write(x, FORWARDED_X));
    assert_slice(value(x, "X-Forwarded-For"), "2001:db8::1");
    assert_slice(value(x, "X-Forwarded-Port"), "8443");
}

static void a_malformed_list_is_not_continued(void **state)
{
    struct exchange *x = *state;
    comes_from(x, "10.0.0.1");
    add(x, "Forwarded", "for=198.51.100.7, for=\"x");
    read_fields(x);
    assert_ok(forwarded_write(x, FORWARDED_STANDARD));
    assert_slice(value(x, "Forwarded"), "for=10.0.0.1;host=shop.example;proto=http");
}

static void none_believes_only_the_trusted(void **state)
{
    struct exchange *x = *state;
    comes_from(x, "10.0.0.1");
    add(x, "X-Forwarded-For", "198.51.100.7");
    read_fields(x);
    assert_ok(forwarded_write(x, FORWARDED_NONE));
    assert_slice(value(x, "X-Forwarded-For"), "198.51.100.7");
    x->is_peer_trusted = false;
    assert_ok(forwarded_write(x, FORWARDED_NONE));
    assert_null(value(x, "X-Forwarded-For").data);
}

static void a_unix_peer_is_unknown(void **state)
{
    struct exchange *x = *state;
    assert_ok(address_parse(SLICE("unix:/run/x"), &x->peer));
    read_fields(x);
    assert_ok(forwarded_write(x, FORWARDED_STANDARD));
    assert_slice(value(x, "Forwarded"), "for=unknown;host=shop.example;proto=http");
}

static void via_names_the_version(void **state)
{
    struct exchange *x = *state;
    add(x, "Via", "1.1 other");
    assert_ok(via_add(&x->request.fields, HTTP_1_0));
    assert_ok(via_add(&x->request.fields, HTTP_2));
    assert_slice(value(x, "Via"), "1.1 other, 1.0 weir, 2 weir");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_untrusted_peer_is_the_client),
        TEST(the_walk_stops_at_the_first_stranger),
        TEST(several_fields_are_one_list),
        TEST(forwarded_is_read_where_it_is_alone),
        TEST(a_trusted_peer_tells_the_scheme),
        TEST(a_loop_is_noticed),
        TEST(strangers_fields_are_replaced),
        TEST(trusted_fields_are_continued),
        TEST(ipv6_is_quoted),
        TEST(a_malformed_list_is_not_continued),
        TEST(none_believes_only_the_trusted),
        TEST(a_unix_peer_is_unknown),
        TEST(via_names_the_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
