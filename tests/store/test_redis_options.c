#include "store/redis_options.h"

#include <string.h>

#include "config/secret.h"
#include "support/unit.h"
#include "support/world.h"

static int set_up(void **state)
{
    *state = world_new();
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static const struct redis_options *read_options(void **state, const char *value)
{
    return world_read(*state, &redis_table, value);
}

static void a_text_is_the_address(void **state)
{
    const struct redis_options *options = read_options(state, "10.0.0.5:7000");
    assert_slice(options->server.text, "10.0.0.5:7000");
    assert_int_equal(address_port(&options->server.address), 7000);
    assert_int_equal(options->timeout, 20 * MILLISECOND);
    assert_int_equal(options->gateways, 0);
    assert_slice(options->prefix, "weir:");
    assert_true(options->tls.verify);
    assert_false(options->is_tls);
}

static void the_port_may_be_left_out(void **state)
{
    assert_int_equal(address_port(&read_options(state, "10.0.0.5")->server.address), 6379);
    assert_int_equal(address_port(&read_options(state, "\"[::1]\"")->server.address), 6379);
    assert_int_equal(address_port(&read_options(state, "\"[::1]:99\"")->server.address), 99);
    const struct redis_options *options = read_options(state, "redis.internal");
    assert_slice(options->server.name, "redis.internal");
    assert_int_equal(options->server.port, 6379);
    assert_slice(read_options(state, "\"unix:/run/r.sock\"")->server.text, "unix:/run/r.sock");
}

static void a_url_says_more(void **state)
{
    const struct redis_options *options =
        read_options(state, "\"rediss://gate%40way:p%3Aq@redis.internal:7000/12\"");
    assert_slice(options->user, "gate@way");
    assert_slice(options->password, "p:q");
    assert_slice(options->server.text, "redis.internal:7000");
    assert_int_equal(options->database, 12);
    assert_true(options->is_tls);
    options = read_options(state, "redis://:p@q@10.0.0.5");
    assert_slice(options->user, "");
    assert_slice(options->password, "p@q");
    assert_int_equal(options->database, 0);
    assert_false(options->is_tls);
}

static void options_say_what_a_url_does_not(void **state)
{
    const struct redis_options *options =
        read_options(state, "{at: \"redis://10.0.0.5/\", user: u, password: p, database: 3, "
                            "tls: {name: redis.internal}, timeout: 5ms}");
    assert_slice(options->user, "u");
    assert_slice(options->password, "p");
    assert_int_equal(options->database, 3);
    assert_true(options->is_tls);
    assert_int_equal(options->timeout, 5 * MILLISECOND);
}

static void sentinels_take_the_place_of_an_address(void **state)
{
    const struct redis_options *options =
        read_options(state, "{sentinels: [10.0.0.5, \"redis-2.internal:99\"], master: shop}");
    const struct endpoint_place *places = options->sentinels.items;
    assert_int_equal(options->sentinels.count, 2);
    assert_int_equal(address_port(&places[0].address), 26379);
    assert_slice(places[1].name, "redis-2.internal");
    assert_int_equal(places[1].port, 99);
    assert_slice(options->master, "shop");
}

#define TEN "aaaaaaaaaa"

static void what_is_wrong_is_said_without_what_is_secret(void **state)
{
    static const struct {
        const char *value, *says;
    } wrong[] = {
        {"\"\"", "it has no host"},
        {"\"redis://\"", "it has no host"},
        {"\"http://10.0.0.5:80\"", "it is no host with a port"},
        {"\"consul://redis\"", "it is no host with a port"},
        {"\"10.0.0.5:99999\"", "it is no host with a port"},
        {"\"redis://:s3cret@10.0.0.5:6379/x\"", "the number of a database"},
        {"\"redis://:s3cret@10.0.0.5/99999\"", "the number of a database"},
        {"\"redis://:s3cret%@10.0.0.5\"", "percent-encoded"},
        {"{at: 10.0.0.5, user: u}", "a user needs a password"},
        {"{at: 10.0.0.5, user: u, password: \"\"}", "a user needs a password"},
        {"{at: 10.0.0.5, password: {text: s3cret}}", "{file: path}, not a map"},
        {"{at: 10.0.0.5, password: {file: /nowhere/at/all}}", "cannot be read"},
        {"{at: \"unix:/run/r.sock\", tls: {verify: false}}", "a unix socket has no name"},
        {"{at: 10.0.0.5, timeout: 0s}", "timeout"},
        {"{at: 10.0.0.5, tiemout: 5ms}", "did you mean \"timeout\""},
        {"{at: 10.0.0.5, gateways: 0}", "from 1 to 65536"},
        {"{at: 10.0.0.5, gateways: 65537}", "from 1 to 65536"},
        {"{at: 10.0.0.5, gateways: many}", "no number of gateways"},
        {"{at: 10.0.0.5, gateways: [1]}", "write a number, or auto"},
        {"{user: u}", "nothing says where it is"},
        {"{at: 10.0.0.5, sentinels: [10.0.0.6]}", "in two ways"},
        {"{sentinels: [\"redis://10.0.0.6\"]}", "no Sentinel: it is no host with a port"},
        {"{sentinels: [[10.0.0.6]]}", "no Sentinel: write for example"},
        {"{at: 10.0.0.6, sentinel: {password: s3cret}}", "there are no `sentinels`"},
        {"{sentinels: [a], sentinel: {user: u}}", "a user needs a password"},
        {"{sentinels: [a], sentinel: {password: {file: /nowhere}}}", "cannot be read"},
        {"{sentinels: [a], sentinel: {clear: true, tls: {verify: false}}}", "in the `clear`"},
        {"{cluster: [10.0.0.6], sentinels: [10.0.0.7]}", "in two ways"},
        {"{cluster: [[10.0.0.6]]}", "no node of a cluster: write for example"},
        {"{cluster: [\"10.0.0.6:x\"]}", "no node of a cluster: it is no host with a port"},
        {"{cluster: [10.0.0.6], database: 3}", "a cluster has no `database` but 0"},
        {"{at: 10.0.0.6, prefix: \"" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "x\"}",
            "the prefix is longer than 100 bytes"},
        {"{sentinels: [\"unix:/s.sock\"], tls: {verify: false}}", "a unix socket has no name"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *said = world_complaints(*state, &redis_table, wrong[i].value);
        if (!strstr(said, wrong[i].says))
            fail_msg("%s: %s", wrong[i].value, said);
        assert_null(strstr(said, "s3cret"));
    }
}

static void gateways_are_counted_unless_their_number_is_said(void **state)
{
    assert_int_equal(read_options(state, "{at: a, gateways: auto}")->gateways, 0);
    assert_int_equal(read_options(state, "{at: a, gateways: 3}")->gateways, 3);
}

static void a_password_can_stand_in_a_file(void **state)
{
    struct world *world = *state;
    const struct secret_file *files = NULL;
    world->reader.secrets = &files;
    const struct redis_options *options =
        read_options(state, "{at: 10.0.0.5, user: u, password: {file: /proc/sys/kernel/ostype}}");
    assert_slice(options->password, "Linux");
    assert_slice(options->sentinel.password, "");
    assert_slice(files->path, "/proc/sys/kernel/ostype");
    assert_null(files->next);
    options = read_options(state, "{sentinels: [a], password: p, sentinel: {user: u, password: "
                                  "{file: /proc/sys/kernel/ostype}}}");
    assert_slice(options->password, "p");
    assert_slice(options->sentinel.password, "Linux");
    assert_non_null(files->next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_is_the_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_port_may_be_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_url_says_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(options_say_what_a_url_does_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sentinels_take_the_place_of_an_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_is_wrong_is_said_without_what_is_secret, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            gateways_are_counted_unless_their_number_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_password_can_stand_in_a_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
