#include "policy/htpasswd.h"

#include <argon2.h>
#include <crypt.h>
#include <stdio.h>
#include <string.h>

#include "support/unit.h"

static struct htpasswd *users;
static char room[WATCHED_TROUBLE_MAX + 1];

static int set_up(void **state)
{
    (void)state;
    users = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    htpasswd_free(users);
    return 0;
}

static enum status read_text(const char *text)
{
    struct text trouble = text_fixed(room, sizeof room - 1);
    enum status e = htpasswd_read(slice_of_text(text), &trouble, &users);
    room[trouble.size] = '\0';
    return e;
}

#define BCRYPT "$2y$04$CVcZVJkvRVg8uZrUNbQlKuYbJXVxVnBHmCZPQlLBKNsU8WUMpMkqC"

static void users_are_found(void **state)
{
    (void)state;
    assert_ok(
        read_text("# who\n\nalice:" BCRYPT "\r\nbob:$6$rounds=1000$salt$x\ncarol d:$y$j9T$a$b\n"
                  "dave:$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"));
    assert_slice(htpasswd_find(users, SLICE("alice")), BCRYPT);
    assert_slice(htpasswd_find(users, SLICE("carol d")), "$y$j9T$a$b");
    assert_null(htpasswd_find(users, SLICE("eve")).data);
    assert_null(htpasswd_find(users, SLICE("")).data);
    assert_slice(htpasswd_any(users), BCRYPT);
}

static void a_file_without_users_has_a_hash_for_others(void **state)
{
    (void)state;
    assert_ok(read_text("# nobody\n"));
    assert_true(htpasswd_any(users).size == 60);
    assert_false(htpasswd_fits(htpasswd_any(users), SLICE("")));
}

static void what_is_wrong_is_said_by_line(void **state)
{
    static const struct {
        const char *text, *trouble;
    } rows[] = {
        {"alice", "line 1 is no \"name:hash\""},
        {":" BCRYPT, "line 1 has no name, or too long a one"},
        {"\na:password",
            "line 2 has a hash of a kind that is not taken: make it with `htpasswd -B`"},
        {"a:", "line 1 has a hash of a kind that is not taken: make it with `htpasswd -B`"},
        {"a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "line 1 has a hash of a kind that is not taken: make it with `htpasswd -B`"},
        {"a:$apr1$x$y",
            "line 1 has a hash of a kind that is not taken: make it with `htpasswd -B`"},
        {"a:$2y$10$short", "line 1 has a hash that is cut short"},
        {"a:$2y$31$CVcZVJkvRVg8uZrUNbQlKuYbJXVxVnBHmCZPQlLBKNsU8WUMpMkqC",
            "line 1 has a hash that takes too long: the cost is over 14"},
        {"a:$6$rounds=2000001$s$x",
            "line 1 has a hash that takes too long: it has more than 2000000 rounds"},
        {"a:$5$rounds=99999999999999999999$s$x",
            "line 1 has a hash that takes too long: it has more than 2000000 rounds"},
        {"a:$argon2id$v=19$m=262145,t=1,p=4$a$b",
            "line 1 has a hash that takes too much memory: m is over 262144 KiB"},
        {"a:$argon2id$v=19$m=262144,t=5,p=4$a$b",
            "line 1 has a hash that takes too long: m times t is over 1048576 KiB"},
        {"a:$argon2id$v=19$m=64,t=99999999999999999999,p=4$a$b",
            "line 1 has a hash that takes too long: m times t is over 1048576 KiB"},
        {"a:$argon2id$v=19$m=64,t=1,p=17$a$b",
            "line 1 has a hash that takes too many threads: p is over 16"},
        {"a:$y$jDT$salt$x",
            "line 1 has a hash that takes too much memory: N times r is over 131072 KiB"},
        {"a:$y$jj.$salt$x",
            "line 1 has a hash that takes too much memory: N times r is over 131072 KiB"},
        {"a:$y$jz1T$salt$x", "line 1 has a hash with parameters that are not taken: make it with "
                             "`mkpasswd -m yescrypt`"},
        {"a:$y$j9TF$salt$x", "line 1 has a hash with parameters that are not taken: make it with "
                             "`mkpasswd -m yescrypt`"},
        {"a:$y$j9", "line 1 has a hash with parameters that are not taken: make it with "
                    "`mkpasswd -m yescrypt`"},
        {"a:$argon2id$v=19$t=3,p=4$a$b", "line 1 has a hash that is cut short"},
        {"a:$5$a b", "line 1 has bytes in its hash that no hash has"},
        {"a:" BCRYPT "\na:" BCRYPT, "line 2 names a user that an earlier line names"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_status(read_text(rows[i].text), INVALID);
        assert_string_equal(room, rows[i].trouble);
    }
}

static void what_is_just_affordable_is_taken(void **state)
{
    (void)state;
    assert_ok(read_text("a:$2y$14$CVcZVJkvRVg8uZrUNbQlKuYbJXVxVnBHmCZPQlLBKNsU8WUMpMkqC\n"
                        "b:$6$rounds=2000000$s$x\nc:$y$jCT$salt$x\n"
                        "d:$argon2id$v=19$m=262144,t=4,p=16$a$b"));
}

/* What crypt_gensalt writes for each cost that it knows is read as it means it. */
static void costs_of_yescrypt_are_known(void **state)
{
    (void)state;
    for (unsigned long cost = 1; cost <= 11; cost++) {
        char setting[CRYPT_GENSALT_OUTPUT_SIZE], line[CRYPT_GENSALT_OUTPUT_SIZE + 16];
        assert_non_null(
            crypt_gensalt_rn("$y$", cost, "0123456789abcdef", 16, setting, sizeof setting));
        snprintf(line, sizeof line, "a:%s$x", setting);
        assert_status(read_text(line), cost <= 8 ? OK : INVALID);
        if (cost <= 8)
            htpasswd_free(users);
        users = NULL;
    }
}

static void check_hash(const char *hash)
{
    assert_non_null(hash);
    assert_true(htpasswd_fits(slice_of_text(hash), SLICE("open sesame")));
    assert_false(htpasswd_fits(slice_of_text(hash), SLICE("open sesam")));
    assert_false(htpasswd_fits(slice_of_text(hash), SLICE("open sesame\0x")));
    assert_false(htpasswd_fits(slice_of_text(hash), SLICE("")));
}

static void each_kind_of_hash_is_checked(void **state)
{
    static const char *const settings[] = {"$2b$04$CVcZVJkvRVg8uZrUNbQlKu",
        "$5$rounds=1000$saltsalt$", "$6$rounds=1000$saltsalt$", "$y$j75$saltsalt$"};
    char made[HTPASSWD_HASH_MAX];
    struct crypt_data data;
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        memset(&data, 0, sizeof data);
        check_hash(crypt_r("open sesame", settings[i], &data));
    }
    assert_int_equal(
        argon2id_hash_encoded(1, 64, 1, "open sesame", 11, "saltsalt", 8, 16, made, sizeof made),
        ARGON2_OK);
    check_hash(made);
    assert_false(htpasswd_fits(SLICE("open sesame"), SLICE("open sesame")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(users_are_found),
        TEST(a_file_without_users_has_a_hash_for_others),
        TEST(what_is_wrong_is_said_by_line),
        TEST(what_is_just_affordable_is_taken),
        TEST(costs_of_yescrypt_are_known),
        TEST(each_kind_of_hash_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
