#include "policy/hash_pool.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/json_writer.h"
#include "base/list.h"
#include "policy/htpasswd.h"
#include "run/loop.h"
#include "run/mailbox.h"
#include "service/plane.h"

/* One password to check. Counted by the fiber that waits, and by the pool until its message has
 * come; so either may go first. */
struct job {
    struct list node;
    struct message message;
    struct service_plane *plane; /* borrowed */
    _Atomic unsigned users;
    _Atomic bool is_given_up; /* nobody waits any more */
    unsigned worker;
    struct fiber *fiber; /* of the worker alone, as the next; NULL: it has gone */
    bool is_done;
    bool fits;
    size_t hash_size, password_size;
    char hash[HTPASSWD_HASH_MAX], password[PASSWORD_MAX];
};

struct hash_pool {
    struct service_plane *plane; /* borrowed */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list waiting; /* guarded, as the next three: of struct job */
    unsigned waiting_count;
    unsigned busy_count;
    bool is_stopping;
    struct metrics_shard *const *shards; /* borrowed: as long as the process */
    uint32_t waiting_series, checked, rejected, given_up;
    pthread_t threads[HASH_POOL_THREADS];
    unsigned thread_count;
};

/* --- jobs */

static void job_unref(struct job *job)
{
    if (atomic_fetch_sub(&job->users, 1) > 1)
        return;
    OPENSSL_cleanse(job->password, sizeof job->password);
    free(job);
}

/* On the worker. */
static void come_back(struct message *message)
{
    struct job *job = list_entry(message, struct job, message);
    job->is_done = true;
    if (job->fiber)
        fiber_wake(job->fiber);
    job_unref(job);
}

static struct job *job_new(
    struct hash_pool *pool, const struct exchange *x, struct slice hash, struct slice password)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->plane = pool->plane;
    job->worker = x->worker;
    job->fiber = fiber_current();
    job->message.deliver = come_back;
    job->hash_size = hash.size;
    job->password_size = password.size;
    memcpy(job->hash, hash.data, hash.size);
    if (password.size)
        memcpy(job->password, password.data, password.size);
    atomic_init(&job->users, 2);
    return job;
}

/* --- threads */

static struct job *next_job(struct hash_pool *pool, bool was_busy)
{
    pthread_mutex_lock(&pool->mutex);
    pool->busy_count -= was_busy;
    while (!pool->waiting_count && !pool->is_stopping)
        pthread_cond_wait(&pool->changed, &pool->mutex);
    struct list *node = list_pop_front(&pool->waiting);
    pool->waiting_count -= node != NULL;
    pool->busy_count += node != NULL;
    pthread_mutex_unlock(&pool->mutex);
    return node ? list_entry(node, struct job, node) : NULL;
}

static void *work(void *argument)
{
    struct job *job;
    bool was_busy = false;
    while ((job = next_job(argument, was_busy))) {
        was_busy = true;
        if (!atomic_load(&job->is_given_up))
            job->fits = htpasswd_fits(
                slice_of(job->hash, job->hash_size), slice_of(job->password, job->password_size));
        if (!plane_post(job->plane, job->worker, &job->message))
            job_unref(job);
    }
    return NULL;
}

static void release(void *object)
{
    struct hash_pool *pool = object;
    pthread_mutex_lock(&pool->mutex);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
}

static void make_series(struct hash_pool *pool, const struct prepare *prepare)
{
    static const struct metric_family waiting = {.name = "weir_password_checks_waiting",
        .help = "Requests whose password is being checked or waits for its turn.",
        .kind = METRIC_GAUGE};
    static const struct metric_family checks = {.name = "weir_password_checks_total",
        .help = "Passwords that were to be checked: checked, rejected (too many waited), given-up "
                "(it took too long, or the client left).",
        .kind = METRIC_COUNTER,
        .labels = {"outcome"}};
    struct metrics *metrics = prepare->metrics;
    pool->shards = prepare->shards;
    pool->waiting_series = metrics_series(metrics, &waiting, NULL);
    pool->checked = metrics_series(metrics, &checks, &SLICE("checked"));
    pool->rejected = metrics_series(metrics, &checks, &SLICE("rejected"));
    pool->given_up = metrics_series(metrics, &checks, &SLICE("given-up"));
}

void hash_pool_describe(const void *object, struct json_writer *writer)
{
    struct hash_pool *pool = (struct hash_pool *)(uintptr_t)object; /* to lock it */
    pthread_mutex_lock(&pool->mutex);
    unsigned waiting = pool->waiting_count, busy = pool->busy_count;
    pthread_mutex_unlock(&pool->mutex);
    json_put_u64(writer, "threads", pool->thread_count);
    json_put_u64(writer, "busy", busy);
    json_put_u64(writer, "waiting", waiting);
    json_put_u64(writer, "waiting_max", HASH_POOL_QUEUE);
}

static enum status init(void *object, void *context)
{
    struct hash_pool *pool = object;
    struct prepare *prepare = context;
    pool->plane = prepare->plane;
    make_series(pool, prepare);
    list_init(&pool->waiting);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->changed, NULL);
    while (pool->thread_count < HASH_POOL_THREADS &&
           pthread_create(&pool->threads[pool->thread_count], NULL, work, pool) == 0)
        pool->thread_count++;
    if (pool->thread_count)
        return OK;
    release(pool);
    return NO_MEMORY;
}

/* --- asking */

enum status hash_pool_obtain(struct prepare *prepare, struct hash_pool **ret_pool)
{
    static const struct registry_kind kind = {
        HASH_POOL_KIND, sizeof(struct hash_pool), init, release};
    void *object;
    *ret_pool = NULL;
    if (!prepare->plane || !prepare->plane->options.workers)
        return OK;
    enum status e = registry_obtain(prepare->registry, &kind, SLICE(""), prepare, &object);
    if (e)
        return e;
    if (arena_own(prepare->reader->arena, registry_release, object))
        return NO_MEMORY;
    *ret_pool = object;
    return OK;
}

static bool enqueue(struct hash_pool *pool, struct job *job)
{
    pthread_mutex_lock(&pool->mutex);
    bool has_room = pool->waiting_count < HASH_POOL_QUEUE;
    if (has_room) {
        list_push_back(&pool->waiting, &job->node);
        pool->waiting_count++;
        pthread_cond_signal(&pool->changed);
    }
    pthread_mutex_unlock(&pool->mutex);
    return has_room;
}

enum status hash_pool_verify(struct hash_pool *pool, const struct exchange *x, struct slice hash,
    struct slice password, instant deadline, bool *ret_fits)
{
    if (hash.size > HTPASSWD_HASH_MAX || password.size > PASSWORD_MAX || !pool || x->is_rehearsal) {
        *ret_fits = htpasswd_fits(hash, password);
        return OK;
    }
    struct job *job = job_new(pool, x, hash, password);
    if (!job)
        return NO_MEMORY;
    struct metrics_shard *shard = pool->shards[x->worker];
    if (!enqueue(pool, job)) {
        atomic_store(&job->users, 1);
        job_unref(job);
        metric_add(shard, pool->rejected, 1);
        return FULL;
    }
    enum status e = OK;
    metric_add(shard, pool->waiting_series, 1);
    while (!e && !job->is_done)
        e = fiber_wait(deadline);
    metric_add(shard, pool->waiting_series, (uint64_t)-1);
    metric_add(shard, job->is_done ? pool->checked : pool->given_up, 1);
    job->fiber = NULL;
    if (job->is_done) {
        *ret_fits = job->fits;
        e = OK;
    }
    atomic_store(&job->is_given_up, true);
    job_unref(job);
    return e;
}
