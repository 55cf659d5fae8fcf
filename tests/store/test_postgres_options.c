#include "store/postgres_options.h"

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

static const struct postgres_options *read_options(void **state, const char *value)
{
    return world_read(*state, &postgres_table, value);
}

static void a_text_is_the_address(void **state)
{
    const struct postgres_options *options = read_options(state, "db.internal");
    assert_slice(options->server.name, "db.internal");
    assert_int_equal(options->server.port, 5432);
    assert_slice(options->user, "weir");
    assert_slice(options->database, "weir");
    assert_slice(options->table, "weir_store");
    assert_string_equal(postgres_sslmodes[options->sslmode], "prefer");
    assert_int_equal(options->timeout, 250 * MILLISECOND);
    assert_int_equal(options->connections, 2);
    options = read_options(state, "\"unix:/run/postgresql\"");
    assert_slice(options->server.text, "unix:/run/postgresql");
}

static void a_url_says_more(void **state)
{
    const struct postgres_options *options =
        read_options(state, "\"postgresql://gate%40way:p%3Aq@10.0.0.5:99/sh%6Fp"
                            "?sslmode=verify-full&sslrootcert=%2Fca.pem&sslcert=c&sslkey=k\"");
    assert_slice(options->user, "gate@way");
    assert_slice(options->password, "p:q");
    assert_int_equal(address_port(&options->server.address), 99);
    assert_slice(options->database, "shop");
    assert_string_equal(postgres_sslmodes[options->sslmode], "verify-full");
    assert_slice(options->sslrootcert, "/ca.pem");
    assert_slice(options->sslcert, "c");
    assert_slice(options->sslkey, "k");
    options = read_options(state, "{at: \"postgres://10.0.0.5\", user: u, database: d}");
    assert_slice(options->user, "u");
    assert_slice(options->database, "d");
}

static void a_password_can_stand_in_a_file(void **state)
{
    struct world *world = *state;
    const struct secret_file *files = NULL;
    world->reader.secrets = &files;
    assert_slice(
        read_options(state, "{at: 10.0.0.5, password: open sesame}")->password, "open sesame");
    assert_null(files);
    assert_slice(
        read_options(state, "{at: 10.0.0.5, password: {file: /proc/sys/kernel/ostype}}")->password,
        "Linux");
    assert_slice(files->path, "/proc/sys/kernel/ostype");
}

static void what_is_wrong_is_said_without_what_is_secret(void **state)
{
    static const struct {
        const char *value, *says;
    } wrong[] = {
        {"{user: u}", "\"at\""},
        {"\"postgres://\"", "it has no host"},
        {"\"http://10.0.0.5:80\"", "it is no host with a port"},
        {"\"postgres://u:s3cret@10.0.0.5:x/d\"", "it is no host with a port"},
        {"\"postgres://u:s3cret%@10.0.0.5\"", "percent-encoded"},
        {"\"postgres://u:s3cret@10.0.0.5/d?sslmode=maybe\"", "behind its ? may stand"},
        {"\"postgres://u:s3cret@10.0.0.5/d?options=-c\"", "behind its ? may stand"},
        {"\"postgres://u:s3cret@10.0.0.5/d%\"", "the name of a database"},
        {"{at: 10.0.0.5, password: {text: s3cret}}", "{file: path}, not a map"},
        {"{at: 10.0.0.5, password: {file: /nowhere/at/all}}", "cannot be read"},
        {"{at: 10.0.0.5, sslmode: verify-full}", "by which authorities"},
        {"{at: 10.0.0.5, sslcert: c}", "a certificate needs its key"},
        {"{at: 10.0.0.5, table: \"a b\"}", "a table's name is of letters"},
        {"{at: 10.0.0.5, table: \"a.\"}", "a table's name is of letters"},
        {"{at: 10.0.0.5, table: a.b.c}", "a table's name is of letters"},
        {"{at: 10.0.0.5, table: \"x\\\"; drop table y\"}", "a table's name is of letters"},
        {"{at: 10.0.0.5, connections: 0}", "connections"},
        {"{at: 10.0.0.5, tiemout: 5ms}", "did you mean \"timeout\""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *said = world_complaints(*state, &postgres_table, wrong[i].value);
        if (!strstr(said, wrong[i].says))
            fail_msg("%s: %s", wrong[i].value, said);
        assert_null(strstr(said, "s3cret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_is_the_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_url_says_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_password_can_stand_in_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_is_wrong_is_said_without_what_is_secret, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("postgres options", tests, NULL, NULL);
}
