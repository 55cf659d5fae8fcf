#include "store/durable.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "run/loop.h"
#include "store/durable_state.h"

#define PENDING_BYTES_MAX ((size_t)256 << 20) /* of questions that wait */

/* --- asking */

void durable_job_unref(struct durable_job *job)
{
    if (atomic_fetch_sub(&job->users, 1) > 1)
        return;
    free(job->there);
    free(job);
}

static struct slice keep(char **at, struct slice bytes)
{
    char *begin = *at;
    if (!bytes.data)
        return bytes;
    if (bytes.size)
        memcpy(begin, bytes.data, bytes.size);
    *at += bytes.size;
    return slice_of(begin, bytes.size);
}

static struct durable_job *new_job(const struct store_question *question)
{
    size_t size = question->key.size + question->value.size + question->expected.size;
    struct durable_job *job = calloc(1, sizeof *job + size + 1);
    if (!job)
        return NULL;
    char *at = job->bytes;
    job->users = 2;
    job->size = size;
    job->question = *question;
    job->question.key = keep(&at, question->key);
    job->question.value = keep(&at, question->value);
    job->question.expected = keep(&at, question->expected);
    job->question.arena = NULL;
    list_init(&job->node);
    if (question->program) {
        job->program = *question->program;
        memcpy(job->arguments, question->arguments,
            job->program.script->arguments * sizeof *job->arguments);
        job->question.program = &job->program;
        job->question.arguments = job->arguments;
    }
    return job;
}

static bool enqueue(struct durable *durable, struct durable_job *job)
{
    pthread_mutex_lock(&durable->mutex);
    bool has_room = durable->pending < durable->pending_max &&
                    durable->pending_bytes + job->size <= PENDING_BYTES_MAX;
    if (has_room) {
        durable->pending++;
        durable->pending_bytes += job->size;
        list_push_back(&durable->queue, &job->node);
        pthread_cond_signal(&durable->changed);
    }
    pthread_mutex_unlock(&durable->mutex);
    return has_room;
}

/* Until there is an answer. Who goes before it was begun keeps it from being so. */
static enum status wait_for(struct durable_job *job, instant until)
{
    while (!job->is_done) {
        enum status e = fiber_wait(until);
        int stage = DURABLE_WAITING;
        if (!e || job->is_done)
            continue;
        job->fiber = NULL;
        bool is_left = atomic_compare_exchange_strong(&job->stage, &stage, DURABLE_LEFT);
        return is_left && e == TIMEOUT ? STORE_UNAVAILABLE : e;
    }
    return job->result;
}

static enum status take_answer(const struct durable_job *job, struct store_question *question)
{
    memcpy(question->results, job->question.results, sizeof question->results);
    if (!job->there)
        return OK;
    question->there = arena_copy(question->arena, slice_of(job->there, job->question.there.size));
    return question->there.data ? OK : NO_MEMORY;
}

static enum status ask_and_wait(struct durable *durable, struct store_question *question)
{
    struct durable_job *job = new_job(question);
    if (!job)
        return NO_MEMORY;
    job->fiber = fiber_current();
    if (!enqueue(durable, job)) {
        job->users = 1;
        durable_job_unref(job);
        return STORE_UNAVAILABLE;
    }
    instant began = loop_now();
    enum status e = wait_for(job, clock_sooner(question->deadline, began + durable->timeout));
    if (job->is_done) {
        enum status taken = take_answer(job, question);
        e = taken ? taken : e;
        metric_observe(durable->stores->plane->options.shards[question->worker],
            durable->stores->durable_duration, loop_now() - began);
    }
    durable_job_unref(job);
    return e;
}

static enum status ask(struct store *store, struct store_question *question)
{
    struct durable *durable = (struct durable *)store;
    enum status e = ask_and_wait(durable, question);
    stores_count(durable->stores, &durable->stores->durable, question->worker, e);
    return e;
}

/* --- how it does */

static int64_t size_of(const char *path, const char *suffix)
{
    char full[4096 + 8];
    struct stat status;
    snprintf(full, sizeof full, "%s%s", path, suffix);
    return stat(full, &status) ? 0 : status.st_size;
}

int64_t durable_bytes(const struct durable *durable)
{
    return size_of(durable->path, "") + size_of(durable->path, "-wal");
}

/* Whether it fails, and why. */
static bool read_trouble(
    const struct durable *durable, char trouble[DURABLE_TROUBLE_SIZE], int64_t *ret_pending)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&durable->mutex;
    pthread_mutex_lock(mutex);
    bool is_failing = durable->is_failing;
    memcpy(trouble, durable->trouble, DURABLE_TROUBLE_SIZE);
    *ret_pending = durable->pending;
    pthread_mutex_unlock(mutex);
    return is_failing;
}

static void describe(const struct store *store, struct json_writer *writer)
{
    const struct durable *durable = (const struct durable *)store;
    char trouble[DURABLE_TROUBLE_SIZE];
    int64_t pending;
    bool is_failing = read_trouble(durable, trouble, &pending);
    json_write_object(writer);
    json_put_text(writer, "file", slice_of_text(durable->path));
    json_put_text(writer, "state", is_failing ? SLICE("failing") : SLICE("good"));
    json_put_i64(writer, "bytes", durable_bytes(durable));
    json_put_i64(writer, "pending", pending);
    if (is_failing)
        json_put_text(writer, "trouble", slice_of_text(trouble));
    else
        json_put_null(writer, "trouble");
    json_write_object_end(writer);
}

void durable_tell(struct durable *durable)
{
    const struct service_plane_options *plane = &durable->stores->plane->options;
    char trouble[DURABLE_TROUBLE_SIZE], text[DURABLE_TROUBLE_SIZE + 512];
    int64_t pending;
    bool is_failing = read_trouble(durable, trouble, &pending);
    if (is_failing == durable->is_told || !plane->notice)
        return;
    durable->is_told = is_failing;
    snprintf(text, sizeof text, "state %.300s %s%s", durable->path,
        is_failing ? "cannot be used: " : "can be used again", is_failing ? trouble : "");
    plane->notice(plane->notice_argument, text);
}

struct durable *durable_of_node(struct list *node)
{
    return list_entry(node, struct durable, node);
}

/* --- its life */

static const struct store_ops durable_ops = {.ask = ask, .describe = describe};

/* What a store is made of. */
struct recipe {
    struct stores *stores;
    struct reader *reader;
    const struct state_options *options;
    const char *path;
};

static void release(struct durable *durable)
{
    durable_file_close(durable->file);
    pthread_mutex_destroy(&durable->mutex);
    pthread_cond_destroy(&durable->changed);
    free(durable->path);
    free(durable);
}

static struct durable *new_durable(const struct recipe *recipe)
{
    struct durable *durable = calloc(1, sizeof *durable);
    char *path = strdup(recipe->path);
    pthread_condattr_t attributes;
    if (!durable || !path) {
        free(durable);
        free(path);
        return NULL;
    }
    *durable =
        (struct durable){.store = {.ops = &durable_ops, .gateways = 1, .bus = &recipe->stores->bus},
            .stores = recipe->stores,
            .clock = store_clock_now(),
            .path = path,
            .timeout = recipe->options->timeout,
            .pending_max = recipe->options->pending};
    list_init(&durable->node);
    list_init(&durable->queue);
    pthread_mutex_init(&durable->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&durable->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return durable;
}

static enum status open_file(struct durable *durable, const struct recipe *recipe)
{
    const struct state_options *options = recipe->options;
    const struct durable_file_options how = {options->size_max, options->timeout};
    char trouble[DURABLE_TROUBLE_SIZE] = "";
    enum status e = durable_file_open(durable->path, &how, trouble, &durable->file);
    if (e == INVALID)
        return diagnostics_error(recipe->reader->diagnostics, options->place, SLICE_NONE,
            "the state's file cannot be used: %s", trouble);
    return e;
}

struct holder {
    struct durable *durable;
};

static enum status init_holder(void *object, void *context)
{
    const struct recipe *recipe = context;
    struct durable *durable = new_durable(recipe);
    if (!durable)
        return NO_MEMORY;
    enum status e = open_file(durable, recipe);
    if (!e && pthread_create(&durable->thread, NULL, durable_write, durable))
        e = NO_MEMORY;
    if (e) {
        release(durable);
        return e;
    }
    list_push_back(&recipe->stores->durables, &durable->node);
    ((struct holder *)object)->durable = durable;
    return OK;
}

/* The last snapshot that has it is gone, and with it whoever would wait for an answer. */
static void release_holder(void *object)
{
    struct durable *durable = ((struct holder *)object)->durable;
    list_remove(&durable->node);
    pthread_mutex_lock(&durable->mutex);
    durable->is_over = true;
    pthread_cond_signal(&durable->changed);
    pthread_mutex_unlock(&durable->mutex);
    pthread_join(durable->thread, NULL);
    release(durable);
}

static const struct registry_kind durable_kind = {
    "durable", sizeof(struct holder), init_holder, release_holder};

enum status durable_obtain(struct stores *stores, struct reader *reader,
    const struct state_options *options, struct store **ret_store)
{
    struct arena *arena = reader->arena;
    struct slice path = source_path(arena, options->place.source, options->file);
    struct recipe recipe = {stores, reader, options, path.data ? arena_text(arena, path) : NULL};
    void *object;
    if (!recipe.path)
        return NO_MEMORY;
    struct slice name = arena_format(arena, "%s %lld %lld %lld", recipe.path,
        (long long)options->size_max, (long long)options->timeout, (long long)options->pending);
    if (!name.data)
        return NO_MEMORY;
    enum status e =
        registry_obtain(stores->plane->options.registry, &durable_kind, name, &recipe, &object);
    if (e)
        return e;
    if (arena_own(arena, registry_release, object))
        return NO_MEMORY;
    *ret_store = &((struct holder *)object)->durable->store;
    return OK;
}
