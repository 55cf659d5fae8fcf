#include "store/durable_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/unit.h"

static char folder[] = "/tmp/weir-durable-XXXXXX", path[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/state.db", folder);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    (void)state;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char full[80];
        snprintf(full, sizeof full, "%s%s", path, endings[i]);
        unlink(full);
    }
    return rmdir(folder);
}

static char trouble[DURABLE_TROUBLE_SIZE];

static struct durable_file *open_it(void)
{
    static const struct durable_file_options options = {1 << 20, 10 * MILLISECOND};
    struct durable_file *file = NULL;
    assert_ok(durable_file_open(path, &options, trouble, &file));
    return file;
}

static void refuse_it(const char *why)
{
    static const struct durable_file_options options = {1 << 20, 10 * MILLISECOND};
    struct durable_file *file = NULL;
    assert_status(durable_file_open(path, &options, trouble, &file), INVALID);
    assert_string_equal(trouble, why);
}

static enum status put(
    struct durable_file *file, struct slice key, struct slice value, int64_t ends)
{
    const struct durable_row row = {.value = value, .ends = ends, .is_lease = true};
    enum status e = durable_file_begin(file, true);
    if (!e)
        e = durable_file_write(file, key, &row);
    if (!e)
        e = durable_file_commit(file);
    if (e)
        durable_file_roll_back(file);
    return e;
}

/* Whether it is there at the time 100, and is this. */
static bool has(struct durable_file *file, struct slice key, struct slice value)
{
    struct durable_row row;
    assert_ok(durable_file_begin(file, false));
    assert_ok(durable_file_read(file, key, 100, &row));
    bool is_so = row.value.data && slice_equal(row.value, value);
    assert_ok(durable_file_commit(file));
    return is_so;
}

static void it_is_there_again(void **state)
{
    (void)state;
    struct durable_file *file = open_it();
    assert_ok(put(file, SLICE("a"), SLICE("one"), 200));
    assert_ok(put(file, SLICE("b"), SLICE(""), 200));
    assert_ok(put(file, SLICE("c"), SLICE("ended"), 100));
    durable_file_close(file);
    file = open_it();
    assert_true(has(file, SLICE("a"), SLICE("one")));
    assert_true(has(file, SLICE("b"), SLICE("")));
    assert_false(has(file, SLICE("c"), SLICE("ended")));
    durable_file_close(file);
}

static void nobody_else_may_read_it(void **state)
{
    struct stat status;
    (void)state;
    mode_t before = umask(0);
    struct durable_file *file = open_it();
    assert_ok(put(file, SLICE("a"), SLICE("one"), 200));
    umask(before);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    durable_file_close(file);
}

static void what_was_rolled_back_is_not_there(void **state)
{
    (void)state;
    struct durable_file *file = open_it();
    const struct durable_row row = {.value = SLICE("one"), .ends = 200};
    assert_ok(durable_file_begin(file, true));
    assert_ok(durable_file_write(file, SLICE("a"), &row));
    durable_file_roll_back(file);
    assert_false(has(file, SLICE("a"), SLICE("one")));
    durable_file_close(file);
}

static void what_has_ended_is_taken_out(void **state)
{
    char key[16];
    int64_t swept;
    (void)state;
    struct durable_file *file = open_it();
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "%d", i);
        assert_ok(put(file, slice_of_text(key), SLICE("x"), i));
    }
    assert_ok(durable_file_sweep(file, 6, 5, &swept));
    assert_int_equal(swept, 5);
    assert_ok(durable_file_sweep(file, 6, 5, &swept));
    assert_int_equal(swept, 2);
    assert_ok(durable_file_sweep(file, 6, 5, &swept));
    assert_int_equal(swept, 0);
    durable_file_close(file);
}

static void its_size_is_bounded_and_room_comes_back(void **state)
{
    static char bytes[100000];
    enum status e = OK;
    char key[16];
    int64_t swept;
    (void)state;
    struct durable_file *file = open_it();
    for (int i = 0; !e && i < 100; i++) {
        snprintf(key, sizeof key, "%d", i);
        e = put(file, slice_of_text(key), slice_of(bytes, sizeof bytes), 100);
    }
    assert_status(e, IO_ERROR);
    assert_string_equal(
        durable_file_trouble(file), "there is no room for more, on the disk or under `size-max`");
    assert_ok(durable_file_sweep(file, 100, 100, &swept));
    assert_true(swept > 5);
    assert_ok(put(file, SLICE("new"), slice_of(bytes, sizeof bytes), 200));
    durable_file_close(file);
}

static void write_file(const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void what_is_no_database_is_left_alone(void **state)
{
    char text[64] = "";
    (void)state;
    write_file("these are the accounts of last year, do not lose them\n");
    refuse_it("it is no SQLite database");
    FILE *in = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, in));
    fclose(in);
    assert_string_equal(text, "these are the accounts of last year, do not lose them\n");
}

static void run_sql(const char *sql)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static void a_database_of_somebody_else_is_left_alone(void **state)
{
    (void)state;
    run_sql("CREATE TABLE account (name TEXT)");
    refuse_it("it is a database of another program");
}

static void one_of_a_newer_version_is_left_alone(void **state)
{
    (void)state;
    durable_file_close(open_it());
    run_sql("PRAGMA user_version = 2");
    refuse_it("a newer version of weir has written it");
}

static void a_folder_that_is_not_there(void **state)
{
    (void)state;
    char before[sizeof path];
    memcpy(before, path, sizeof path);
    snprintf(path, sizeof path, "%s/none/state.db", folder);
    refuse_it("it cannot be opened: No such file or directory");
    memcpy(path, before, sizeof path);
}

static void who_holds_it_is_said_to_do_so(void **state)
{
    (void)state;
    struct durable_file *file = open_it();
    sqlite3 *other;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_status(put(file, SLICE("a"), SLICE("one"), 200), IO_ERROR);
    assert_string_equal(durable_file_trouble(file), "another process has locked it");
    assert_false(has(file, SLICE("a"), SLICE("one"))); /* reading goes on */
    refuse_it("another process has locked it");
    sqlite3_close(other);
    assert_ok(put(file, SLICE("a"), SLICE("one"), 200));
    durable_file_close(file);
}

static void two_processes_see_each_others_steps(void **state)
{
    (void)state;
    struct durable_file *one = open_it(), *other = open_it();
    assert_ok(put(one, SLICE("a"), SLICE("one"), 200));
    assert_true(has(other, SLICE("a"), SLICE("one")));
    assert_ok(put(other, SLICE("a"), SLICE("two"), 200));
    assert_true(has(one, SLICE("a"), SLICE("two")));
    durable_file_close(one);
    durable_file_close(other);
}

/* Writes numbers, and says each one that is written, until it is killed. */
_Noreturn static void write_until_killed(int out, uint32_t number)
{
    static const struct durable_file_options options = {64 << 20, SECOND};
    struct durable_file *file;
    if (durable_file_open(path, &options, trouble, &file))
        _exit(1);
    for (;; number++) {
        char key[16];
        snprintf(key, sizeof key, "%u", number);
        if (put(file, slice_of_text(key), slice_of_text(key), 200) ||
            write(out, &number, sizeof number) != sizeof number)
            _exit(1);
    }
}

static uint32_t kill_a_writer(uint32_t from, uint32_t after)
{
    int ends[2], status;
    uint32_t last = from, number;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        write_until_killed(ends[1], from);
    }
    close(ends[1]);
    while (read(ends[0], &number, sizeof number) == sizeof number) {
        last = number;
        if (number >= from + after) /* what it says behind this one counts as well */
            kill(pid, SIGKILL);
    }
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return last;
}

static void what_was_said_to_be_written_survives_a_kill(void **state)
{
    uint32_t next = 0;
    (void)state;
    for (uint32_t round = 0; round < 20; round++)
        next = kill_a_writer(next, round % 7) + 1;
    struct durable_file *file = open_it();
    for (uint32_t i = 0; i < next; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        assert_true(has(file, slice_of_text(key), slice_of_text(key)));
    }
    durable_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_there_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_else_may_read_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_rolled_back_is_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_ended_is_taken_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_size_is_bounded_and_room_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_database_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_database_of_somebody_else_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_of_a_newer_version_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_holds_it_is_said_to_do_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_processes_see_each_others_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_was_said_to_be_written_survives_a_kill, set_up, tear_down)};
    return cmocka_run_group_tests_name("durable_file", tests, NULL, NULL);
}
