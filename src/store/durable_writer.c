#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/durable_state.h"

#define BATCH_MAX  512 /* questions that are one step */
#define TIDY_EVERY SECOND
#define TIDY_MOST  256 /* rows of a step that takes out what has ended */

/* --- one step */

/* What was there, for the fiber. */
static enum status tell(struct durable_job *job, struct slice there)
{
    free(job->there);
    job->there = malloc(there.size + 1);
    if (!job->there)
        return NO_MEMORY;
    if (there.size)
        memcpy(job->there, there.data, there.size);
    job->question.there.size = there.size;
    return OK;
}

static enum status carry_out(struct durable_file *file, const struct durable_job *job,
    const struct store_verdict *verdict, const struct durable_row *before, int64_t now)
{
    struct durable_row row = {.value = verdict->value,
        .ends = verdict->ttl ? clock_after(now, verdict->ttl) : before->ends,
        .is_lease = verdict->is_lease};
    switch (verdict->change) {
    case STORE_WRITE:
        return durable_file_write(file, job->question.key, &row);
    case STORE_REMOVE:
        return durable_file_remove(file, job->question.key);
    case STORE_KEEP:
        break;
    }
    return OK;
}

/* Fails when the file does; what the question's answer is, is the job's result. */
static enum status answer(struct durable *durable, struct durable_job *job)
{
    struct durable_file *file = durable->file;
    struct store_verdict verdict;
    struct durable_row row;
    int64_t now = store_clock_read(&durable->clock);
    enum status e = durable_file_read(file, job->question.key, now, &row);
    if (e)
        return e;
    job->result = store_judge(&job->question, row.value, row.is_lease, now, &verdict);
    if (verdict.tells && tell(job, row.value))
        job->result = NO_MEMORY;
    e = carry_out(file, job, &verdict, &row, now);
    store_verdict_release(&verdict);
    return e;
}

static bool writes(const struct list *batch)
{
    bool any = false;
    list_each (node, batch)
        any = any || list_entry(node, struct durable_job, node)->question.verb != STORE_GET;
    return any;
}

static enum status answer_all(struct durable *durable, const struct list *batch)
{
    enum status e = OK;
    list_each (node, batch) {
        e = answer(durable, list_entry(node, struct durable_job, node));
        if (e)
            break;
    }
    if (!e)
        e = durable_file_commit(durable->file);
    if (e)
        durable_file_roll_back(durable->file);
    return e;
}

/* --- answers */

/* On the worker's thread. */
static void deliver(struct message *message)
{
    struct durable_job *job = list_entry(message, struct durable_job, message);
    job->is_done = true;
    if (job->fiber)
        fiber_wake(job->fiber);
    durable_job_unref(job);
}

static void reply(struct durable *durable, struct durable_job *job, enum status e)
{
    list_remove(&job->node);
    if (e)
        job->result = STORE_UNAVAILABLE;
    if (e || job->result)
        memset(job->question.results, 0, sizeof job->question.results);
    job->message.deliver = deliver;
    if (!plane_post(durable->stores->plane, job->question.worker, &job->message))
        durable_job_unref(job);
}

static void reply_all(struct durable *durable, struct list *batch, enum status e)
{
    list_each (node, batch)
        reply(durable, list_entry(node, struct durable_job, node), e);
}

static void note(struct durable *durable, enum status e)
{
    atomic_fetch_add(e ? &durable->stores->durable_failures : &durable->stores->durable_commits, 1);
    pthread_mutex_lock(&durable->mutex);
    durable->is_failing = e != OK;
    if (e)
        snprintf(
            durable->trouble, sizeof durable->trouble, "%s", durable_file_trouble(durable->file));
    pthread_mutex_unlock(&durable->mutex);
}

/* So that one that cannot be done does not take the others with it. */
static void do_each_alone(struct durable *durable, struct list *batch)
{
    list_each (node, batch) {
        struct list alone;
        list_init(&alone);
        list_remove(node);
        list_push_back(&alone, node);
        enum status e = durable_file_begin(durable->file, writes(&alone));
        if (!e)
            e = answer_all(durable, &alone);
        note(durable, e);
        reply_all(durable, &alone, e);
    }
}

static void do_batch(struct durable *durable, struct list *batch)
{
    if (list_is_empty(batch))
        return;
    enum status e = durable_file_begin(durable->file, writes(batch));
    bool is_begun = !e, is_one = batch->next == batch->previous;
    if (is_begun)
        e = answer_all(durable, batch);
    if (e && is_begun && !is_one) {
        do_each_alone(durable, batch);
        return;
    }
    note(durable, e);
    reply_all(durable, batch, e);
}

/* --- the thread */

static void take(struct durable *durable, struct durable_job *job, struct list *batch)
{
    int stage = DURABLE_WAITING;
    list_remove(&job->node);
    durable->pending--;
    durable->pending_bytes -= job->size;
    if (atomic_compare_exchange_strong(&job->stage, &stage, DURABLE_BEGUN))
        list_push_back(batch, &job->node);
    else
        durable_job_unref(job);
}

/* Waits for questions, until something else is due. False: there will be none any more. */
static bool take_batch(struct durable *durable, struct list *batch, instant until)
{
    const struct timespec when = {until / SECOND, until % SECOND};
    int count = 0, waited = 0;
    pthread_mutex_lock(&durable->mutex);
    while (list_is_empty(&durable->queue) && !durable->is_over && !waited)
        waited = pthread_cond_timedwait(&durable->changed, &durable->mutex, &when);
    while (!list_is_empty(&durable->queue) && count++ < BATCH_MAX)
        take(durable, list_entry(durable->queue.next, struct durable_job, node), batch);
    bool goes_on = !durable->is_over || !list_is_empty(batch);
    pthread_mutex_unlock(&durable->mutex);
    return goes_on;
}

/* When much has ended it goes on soon. */
static instant sweep(struct durable *durable, instant now)
{
    int64_t swept = 0;
    int64_t time = store_clock_read(&durable->clock);
    if (durable_file_sweep(durable->file, time, TIDY_MOST, &swept))
        durable_file_roll_back(durable->file);
    return swept == TIDY_MOST ? now + TIDY_EVERY / 100 : now + TIDY_EVERY;
}

void *durable_write(void *argument)
{
    struct durable *durable = argument;
    instant sweep_at = clock_now() + TIDY_EVERY;
    struct list batch;
    list_init(&batch);
    while (take_batch(durable, &batch, sweep_at)) {
        do_batch(durable, &batch);
        if (clock_now() >= sweep_at)
            sweep_at = sweep(durable, clock_now());
    }
    return NULL;
}
