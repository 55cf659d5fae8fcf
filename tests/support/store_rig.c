#include "support/store_rig.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/loop.h"
#include "store/durable.h"
#include "store/postgres.h"
#include "store/redis.h"
#include "support/unit.h"

#define PATIENCE (60 * SECOND)

struct store_rig *store_rig_new(void)
{
    struct store_rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->world = world_new();
    rig->loops[0] = loop_current();
    strcpy(rig->folder, "/tmp/weir-store-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    struct service_plane_options options = {.registry = rig->world->registry,
        .metrics = rig->world->metrics,
        .workers = 1,
        .worker_loops = rig->loops,
        .shards = rig->world->shards,
        .control_loop = rig->loops[0],
        .control_shard = rig->world->shards[0]};
    assert_ok(service_plane_new(&options, &rig->plane));
    assert_ok(stores_new(rig->plane, &rig->stores));
    return rig;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
    (void)status, (void)flag, (void)ftw;
    return remove(path);
}

/* The snapshot goes first, then the worker leaves, as in a gateway; but the stores need the world's
 * metrics until their end. */
void store_rig_free(struct store_rig *rig)
{
    arena_release(&rig->world->arena);
    fiber_yield();
    stores_leave_worker(rig->stores, 0);
    service_plane_leave_worker(rig->plane, 0);
    stores_free(rig->stores);
    service_plane_free(rig->plane);
    world_free(rig->world);
    if (rig->redis) {
        kill(rig->redis, SIGKILL);
        waitpid(rig->redis, NULL, 0);
    }
    nftw(rig->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(rig);
}

static bool can_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(descriptor >= 0);
    bool can = connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0;
    close(descriptor);
    return can;
}

static pid_t start_redis(const char *folder, char *socket_path)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    /* Which ends with the test, however that ends. */
    char *const words[] = {"setpriv", "--pdeathsig", "KILL", "redis-server", "--port", "0",
        "--unixsocket", socket_path, "--save", "", "--dir", (char *)(uintptr_t)folder, NULL};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawnp(&pid, words[0], &actions, NULL, words, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

struct store *store_rig_redis(struct store_rig *rig)
{
    char path[STORE_RIG_PATH_MAX + 16], text[STORE_RIG_PATH_MAX + 128];
    struct store *store;
    snprintf(path, sizeof path, "%s/redis.sock", rig->folder);
    rig->redis = start_redis(rig->folder, path);
    for (instant until = clock_now() + PATIENCE; !can_connect(path);) {
        assert_true(clock_now() < until);
        assert_int_equal(waitpid(rig->redis, NULL, WNOHANG), 0);
        fiber_sleep_until(loop_now() + 5 * MILLISECOND);
    }
    snprintf(text, sizeof text, "{at: \"unix:%s\", timeout: 60s, connect-timeout: 60s}", path);
    struct redis_options *options = world_read(rig->world, &redis_table, text);
    assert_ok(redis_obtain(rig->stores, &rig->world->reader, options, &store));
    store_join(store, 0);
    return store;
}

struct store *store_rig_postgres(struct store_rig *rig, const struct postgres_server *server)
{
    char text[STORE_RIG_PATH_MAX + 192];
    struct store *store;
    snprintf(text, sizeof text,
        "{at: \"unix:%s\", database: postgres, table: t%llx, timeout: 60s, connect-timeout: 60s}",
        server->folder, (unsigned long long)clock_now());
    struct postgres_options *options = world_read(rig->world, &postgres_table, text);
    assert_ok(postgres_obtain(rig->stores, &rig->world->reader, options, &store));
    store_join(store, 0);
    return store;
}

struct store *store_rig_durable(struct store_rig *rig)
{
    char text[STORE_RIG_PATH_MAX + 128];
    struct store *store;
    snprintf(text, sizeof text, "{file: \"%s/state.db\", timeout: 60s}", rig->folder);
    struct state_options *options = world_read(rig->world, &state_table, text);
    assert_ok(durable_obtain(rig->stores, &rig->world->reader, options, &store));
    store_join(store, 0);
    return store;
}
