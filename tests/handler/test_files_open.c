#include "handler/files_open.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/unit.h"

typedef enum status open_function(int root, struct slice path, int *ret_fd, struct stat *ret_stat);

static char base[] = "/tmp/weir-files-XXXXXX";
static int root;

static void write_file(const char *path)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", base, path);
    int fd = open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static void make(const char *path)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", base, path);
    assert_int_equal(mkdir(full, 0755), 0);
}

static void make_link(const char *target, const char *path)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", base, path);
    assert_int_equal(symlink(target, full), 0);
}

/* secret            outside of the root
 * root/a/b          a file
 * root/in -> a/b    root/out -> ../secret    root/up -> ..    root/abs -> (base)/root/a/b root/loop
 * -> loop root/pipe         a named pipe */
static int set_up(void **state)
{
    (void)state;
    char full[256];
    assert_non_null(mkdtemp(base));
    write_file("secret");
    make("root");
    make("root/a");
    write_file("root/a/b");
    make_link("a/b", "root/in");
    make_link("../secret", "root/out");
    make_link("..", "root/up");
    make_link("loop", "root/loop");
    make_link("/etc/passwd", "root/abs");
    snprintf(full, sizeof full, "%s/root/pipe", base);
    assert_int_equal(mkfifo(full, 0644), 0);
    snprintf(full, sizeof full, "%s/root", base);
    assert_ok(files_open_root(full, &root));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"root/a/b", "root/in", "root/out", "root/up", "root/abs",
        "root/loop", "root/pipe", "root/a", "root", "secret", ""};
    close(root);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char full[256];
        snprintf(full, sizeof full, "%s/%s", base, names[i]);
        remove(full);
    }
    return 0;
}

static enum status try(open_function *open_it, const char *path, mode_t *ret_mode)
{
    int fd = -1;
    struct stat stat;
    enum status e = open_it(root, slice_of_text(path), &fd, &stat);
    if (!e) {
        *ret_mode = stat.st_mode;
        close(fd);
    }
    return e;
}

static void assert_opens(open_function *open_it, const char *path, mode_t type)
{
    mode_t mode;
    enum status e = try(open_it, path, &mode);
    if (e || (mode & S_IFMT) != type)
        fail_msg("\"%s\": %s", path, status_word(e));
}

static void assert_stays_closed(open_function *open_it, const char *path)
{
    mode_t mode;
    if (try(open_it, path, &mode) != NOT_FOUND)
        fail_msg("\"%s\" was opened", path);
}

static void check_both_ways(open_function *open_it)
{
    static const char *const closed[] = {"missing", "a/missing", "a/b/c", "a/b/", "out",
        "up/secret", "up/root/a/b", "..", "../secret", "../root/a/b", "a/../../secret",
        "a/../a/../../secret", "abs", "loop", "pipe", "/etc/passwd", "/proc/self/cwd"};
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++)
        assert_stays_closed(open_it, closed[i]);
    assert_opens(open_it, "a/b", S_IFREG);
    assert_opens(open_it, "a//b", S_IFREG);
    assert_opens(open_it, "a/./b", S_IFREG);
    assert_opens(open_it, "a", S_IFDIR);
    assert_opens(open_it, "a/", S_IFDIR);
    assert_opens(open_it, "", S_IFDIR);
    mode_t mode;
    char nul[] = "a/b\0c";
    int fd;
    struct stat stat;
    assert_status(open_it(root, slice_of(nul, 5), &fd, &stat), NOT_FOUND);
    char *longest = malloc(5001);
    memset(longest, 'a', 5000);
    longest[5000] = '\0';
    assert_status(try(open_it, longest, &mode), NOT_FOUND);
    free(longest);
}

static void nothing_outside_is_opened(void **state)
{
    (void)state;
    check_both_ways(files_open);
    assert_opens(files_open, "in", S_IFREG); /* a link that stays inside */
}

static void nothing_outside_is_opened_by_walking(void **state)
{
    (void)state;
    check_both_ways(files_open_by_walking);
    assert_stays_closed(files_open_by_walking, "in"); /* no link at all */
}

static void descriptors_are_not_lost(void **state)
{
    (void)state;
    int before = dup(root);
    close(before);
    check_both_ways(files_open);
    check_both_ways(files_open_by_walking);
    int after = dup(root);
    close(after);
    assert_int_equal(after, before);
}

static void a_root_is_a_folder(void **state)
{
    (void)state;
    char full[256];
    int fd;
    snprintf(full, sizeof full, "%s/secret", base);
    assert_status(files_open_root(full, &fd), NOT_FOUND);
    snprintf(full, sizeof full, "%s/missing", base);
    assert_status(files_open_root(full, &fd), NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_outside_is_opened),
        cmocka_unit_test(nothing_outside_is_opened_by_walking),
        cmocka_unit_test(descriptors_are_not_lost),
        cmocka_unit_test(a_root_is_a_folder),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
