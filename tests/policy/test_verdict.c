/* What an authorizer is asked, and what is made of its answer. */
#include "policy/verdict.h"

#include "base/json.h"
#include "policy/auth_way.h"
#include "support/asker.h"
#include "support/on_loop.h"

extern const struct auth_way forward_way;

static struct verdict verdict;
static const char *says; /* the authorizer's whole answer */

static int setup(void **state)
{
    *state = asker_new();
    return 0;
}

static int teardown(void **state)
{
    asker_free(*state);
    return 0;
}

static void serve(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream))
        fake_write(stream, says);
}

/* The options that such a YAML text means, after a new exchange was begun. */
static const struct verdict_options *options(struct asker *asker, const char *yaml)
{
    struct slice text = arena_format(&asker->rig->snapshot, "%s\n", yaml);
    struct source *source = arena_new(&asker->rig->snapshot, struct source);
    struct node *root;
    void *config = arena_zalloc(&asker->rig->snapshot, forward_way.options->size);
    *source = (struct source){SLICE("test.yaml"), text};
    assert_ok(tree_read(&asker->rig->snapshot, source, NULL, asker->reader.diagnostics, &root));
    assert_ok(option_read(&asker->reader, forward_way.options, root, config));
    assert_int_equal(asker->rig->diagnostics.errors, 0);
    struct verdict_options *ask = config; /* they stand first */
    assert_ok(inquiry_prepare(&asker->prepare, &ask->target));
    return ask;
}

static enum status ask(struct asker *asker, const struct verdict_options *with)
{
    struct exchange *x = &asker->rig->x;
    return verdict_ask(with, x, x, &asker->arena, &verdict);
}

static void add(struct asker *asker, const char *name, const char *value)
{
    struct slice field = slice_of_text(name);
    assert_ok(
        fields_add(&asker->rig->x.request.fields, field_id_of(field), field, slice_of_text(value)));
}

static void test_question(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve, NULL);
    says = "HTTP/1.1 204 X\r\n\r\n";
    asker_begin(asker, fake);
    const struct verdict_options *with =
        options(asker, "{to: demo/v, headers: [Cookie, X-Forwarded-Uri]}");
    add(asker, "Cookie", "a=b");
    add(asker, "X-Forwarded-Uri", "/forged");
    add(asker, "x_forwarded_METHOD", "GET");
    add(asker, "Accept", "x/y");
    assert_ok(address_parse_ip(SLICE("192.0.2.7"), 9, &asker->rig->x.client));
    asker->rig->x.request.query = SLICE("q=%20");
    assert_ok(ask(asker, with));
    assert_int_equal(verdict.status, 204);
    const char *head = strstr(fake->last, "\r\n") + 2;
    assert_true(strncmp(fake->last, "GET /v HTTP/1.1\r\n", 17) == 0);
    assert_non_null(strstr(head, "Cookie: a=b\r\n"));
    assert_non_null(strstr(head, "X-Forwarded-Method: POST\r\n"));
    assert_non_null(strstr(head, "X-Forwarded-Uri: /of-the-client?q=%20\r\n"));
    assert_non_null(strstr(head, "X-Forwarded-Host: shop.example\r\n"));
    assert_non_null(strstr(head, "X-Forwarded-For: 192.0.2.7\r\n"));
    assert_null(strstr(head, "forged"));
    assert_null(strstr(head, "x_forwarded"));
    assert_null(strstr(head, "x/y"));
}

static void test_claims(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve, NULL);
    struct slice text;
    asker_begin(asker, fake);
    const struct verdict_options *with = options(
        asker, "{to: demo, claims: {sub: Remote-User, team: X-Team}, claims-in-body: true}");
    says = "HTTP/1.1 200 X\r\nremote-user: ada \"a\"\r\nContent-Length: 45\r\n\r\n"
           "{\"sub\": \"body\", \"team\": \"red\", \"deep\": [1,2]}";
    assert_ok(ask(asker, with));
    assert_true(verdict_is_good(&verdict));
    assert_true(json_get_text(verdict.claims, SLICE("sub"), &text));
    assert_slice(text, "ada \"a\"");
    assert_true(json_get_text(verdict.claims, SLICE("team"), &text)); /* no field says it */
    assert_slice(text, "red");
    assert_int_equal(json_get(verdict.claims, SLICE("deep"))->count, 2);
    assert_int_equal(verdict.claims->count, 3);
    says = "HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n[]";
    assert_status(ask(asker, with), UPSTREAM_PROTOCOL);
    says = "HTTP/1.1 403 X\r\nContent-Length: 2\r\n\r\n[]"; /* of a refusal nobody asks */
    assert_ok(ask(asker, with));
    assert_false(verdict_is_good(&verdict));
    assert_slice(verdict.body, "[]");
    says = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n";
    assert_status(ask(asker, with), UPSTREAM_PROTOCOL);
}

static void test_fields(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve, NULL);
    struct fields fields;
    says = "HTTP/1.1 200 X\r\nSet-Cookie: a\r\nX-One: 1\r\nset-cookie: b\r\nX-Two: 2\r\n"
           "Content-Length: 0\r\n\r\n";
    asker_begin(asker, fake);
    const struct verdict_options *with =
        options(asker, "{to: demo, copy: [x-one], return: [SET-COOKIE, X-Two, X-Three]}");
    assert_ok(ask(asker, with));
    fields_init(&fields, &asker->arena);
    assert_ok(verdict_copy_fields(&verdict, &with->returned, FIELD_OTHER, &fields));
    assert_slice(fields_combined(&fields, SLICE("set-cookie")), "a, b");
    assert_int_equal(fields.count, 3);
    fields_init(&fields, &asker->arena);
    assert_ok(verdict_copy_fields(&verdict, &with->returned, FIELD_SET_COOKIE, &fields));
    assert_int_equal(fields.count, 1);
    assert_slice(fields.items[0].name, "X-Two");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {TEST(test_question), TEST(test_claims), TEST(test_fields)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
