#include "support/postgres_server.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/unit.h"

#define PATIENCE  (120 * SECOND)
#define WORDS_MAX 32

/* Starts a program of PostgreSQL's; it ends with the test, however that ends. */
static pid_t start(const char *program, const char *const *words)
{
    static const char *const as_nobody[] = {
        "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL", NULL};
    static const char *const as_we_are[] = {"setpriv", "--pdeathsig=KILL", NULL};
    const char *all[WORDS_MAX];
    size_t count = 0;
    posix_spawn_file_actions_t actions;
    pid_t pid;
    for (const char *const *word = getuid() ? as_we_are : as_nobody; *word; word++)
        all[count++] = *word;
    all[count++] = program;
    for (; *words; words++)
        all[count++] = *words;
    all[count] = NULL;
    assert_true(count < WORDS_MAX);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addchdir_np(&actions, "/");
    assert_int_equal(
        posix_spawnp(&pid, all[0], &actions, NULL, (char *const *)(uintptr_t)all, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static bool run(const char *program, const char *const *words)
{
    int status;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(start(program, words), &status, 0)) > 0, 1);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Where Debian has the programs of the newest version. */
static bool find_program(const char *name, char path[256])
{
    glob_t found;
    snprintf(path, 256, "/usr/lib/postgresql/*/bin/%s", name);
    bool is_there = glob(path, 0, NULL, &found) == 0;
    if (is_there)
        snprintf(path, 256, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return is_there;
}

static void make_folder(struct postgres_server *server)
{
    strcpy(server->folder, "/tmp/weir-postgres-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    const struct passwd *nobody = getpwnam("nobody");
    if (getuid() == 0)
        assert_int_equal(chown(server->folder, nobody->pw_uid, nobody->pw_gid), 0);
}

static void wait_until_ready(const struct postgres_server *server)
{
    char program[256];
    const char *const words[] = {"-q", "-h", server->folder, "-U", "weir", "-d", "postgres", NULL};
    assert_true(find_program("pg_isready", program));
    for (instant until = clock_now() + PATIENCE; !run(program, words);) {
        assert_true(clock_now() < until);
        assert_int_equal(waitpid(server->process, NULL, WNOHANG), 0);
        usleep(20000);
    }
}

struct postgres_server *postgres_server_new(void)
{
    char initdb[256], postgres[256], data[POSTGRES_FOLDER_MAX + 8];
    if (!find_program("initdb", initdb) || !find_program("postgres", postgres))
        return NULL;
    struct postgres_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    make_folder(server);
    snprintf(data, sizeof data, "%s/data", server->folder);
    const char *const make[] = {"-D", data, "-U", "weir", "-A", "trust", "--no-sync", NULL};
    const char *const serve[] = {"-D", data, "-h", "", "-k", server->folder, "-F", "-c",
        "max_connections=20", "-c", "shared_buffers=16MB", NULL};
    assert_true(run(initdb, make));
    server->process = start(postgres, serve);
    wait_until_ready(server);
    return server;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
    (void)status, (void)flag, (void)ftw;
    return remove(path);
}

void postgres_server_free(struct postgres_server *server)
{
    if (!server)
        return;
    kill(server->process, SIGQUIT); /* at once, with those that it has started */
    waitpid(server->process, NULL, 0);
    nftw(server->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(server);
}
