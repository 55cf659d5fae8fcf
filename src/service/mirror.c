#include "service/mirror.h"

#include "base/json_writer.h"
#include "base/random.h"
#include "run/loop.h"
#include "service/mirror_copy.h"
#include "service/witness.h"

#include <stdlib.h>

/* What is known of an answer. */
struct side {
    bool is_known;
    int status; /* 0: there was none */
    int64_t took;
    bool has_hash;
    uint64_t hash;
};

/* The original and its copy, until both are over. All on one worker. */
struct mirror_pair {
    const struct mirror *mirror;
    unsigned worker;
    int users; /* the original, and the copy or what it waits for */
    instant began;
    struct side original, copy;
};

/* The request's body as it goes by, kept for the copy. In the original's arena. */
struct tee {
    struct body body;
    struct body *inner; /* borrowed */
    struct exchange *x;
    struct mirror_pair *pair; /* NULL: the copy has gone, or will not */
    struct text kept;         /* owned */
};

/* --- accounts */

static void count(const struct mirror_pair *pair, uint32_t series)
{
    metric_add(plane_shard(pair->mirror->from->plane, pair->worker), series, 1);
}

static void compare(const struct mirror_pair *pair)
{
    const struct mirror *mirror = pair->mirror;
    const struct side *original = &pair->original, *copy = &pair->copy;
    struct metrics_shard *shard = plane_shard(mirror->from->plane, pair->worker);
    if (!original->status) {
        count(pair, mirror->alone_series);
        return;
    }
    metric_observe(shard, mirror->original_series, original->took);
    if (!copy->status) {
        count(pair, mirror->silent_series);
        return;
    }
    metric_observe(shard, mirror->copy_series, copy->took);
    count(pair, copy->status == original->status ? mirror->same_series : mirror->other_series);
    if (original->has_hash && copy->has_hash)
        count(pair, original->hash == copy->hash ? mirror->equal_series : mirror->different_series);
}

static void leave(struct mirror_pair *pair)
{
    if (--pair->users)
        return;
    if (pair->copy.is_known && pair->mirror->from->plane->options.metrics)
        compare(pair);
    free(pair);
}

/* --- how many there may be */

static _Atomic uint32_t *running(const struct mirror *mirror, unsigned worker)
{
    return &mirror->running[worker];
}

static void end_copy(struct mirror_pair *pair)
{
    atomic_fetch_sub_explicit(running(pair->mirror, pair->worker), 1, memory_order_relaxed);
    leave(pair);
}

static bool may_begin(const struct mirror *mirror, unsigned worker)
{
    uint32_t now = atomic_load_explicit(running(mirror, worker), memory_order_relaxed);
    return now < (uint64_t)mirror->options->copies;
}

/* --- the copy */

static void copy_done(void *argument, const struct request_copy *copy)
{
    struct mirror_pair *pair = argument;
    pair->copy = (struct side){.is_known = true,
        .status = copy->status,
        .took = copy->took,
        .has_hash = copy->is_whole,
        .hash = copy->hash};
    end_copy(pair);
}

static void launch(struct mirror_pair *pair, struct exchange *x, struct slice body)
{
    const struct mirror *mirror = pair->mirror;
    struct request_copy *copy = request_copy_new(x, mirror->to, mirror->from->name, body);
    if (copy) {
        copy->x.deadline = clock_after(loop_now(), mirror->options->timeout);
        copy->is_hashed = mirror->options->compare == MIRROR_COMPARE_BODY;
        copy->done = copy_done;
        copy->argument = pair;
        if (request_copy_start(copy) == OK)
            return;
        request_copy_free(copy);
    }
    count(pair, mirror->lost_series);
    end_copy(pair);
}

/* --- the tee */

static struct tee *tee_of(struct body *body)
{
    return list_entry(body, struct tee, body);
}

static void give_up(struct tee *tee, uint32_t series)
{
    struct mirror_pair *pair = tee->pair;
    tee->pair = NULL;
    text_release(&tee->kept);
    count(pair, series);
    end_copy(pair);
}

static void keep(struct tee *tee, struct slice bytes)
{
    const struct mirror *mirror = tee->pair->mirror;
    if (tee->kept.size + bytes.size > (uint64_t)mirror->options->body) {
        give_up(tee, mirror->large_series);
        return;
    }
    text_add(&tee->kept, bytes);
    if (tee->kept.failed)
        give_up(tee, mirror->lost_series);
}

static void go(struct tee *tee)
{
    struct mirror_pair *pair = tee->pair;
    tee->pair = NULL;
    launch(pair, tee->x, text_slice(&tee->kept));
    text_release(&tee->kept);
}

static enum status read_tee(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct tee *tee = tee_of(body);
    enum status e = body_read(tee->inner, deadline, ret_bytes);
    if (!e && tee->pair)
        keep(tee, *ret_bytes);
    if (e == END) {
        body->trailers = tee->inner->trailers;
        if (tee->pair)
            go(tee);
    }
    return e;
}

static enum status wait_tee(struct body *body, instant deadline)
{
    return body_wait(tee_of(body)->inner, deadline);
}

static enum status splice_tee(
    struct body *body, instant deadline, struct splice **ret_splice, size_t *ret_size)
{
    struct tee *tee = tee_of(body);
    return tee->pair ? FULL : body_splice(tee->inner, deadline, ret_splice, ret_size);
}

/* Who sees the end of it need not read that. */
static struct slice peek_tee(struct body *body, bool *ret_last)
{
    struct tee *tee = tee_of(body);
    struct slice bytes = body_peek(tee->inner, ret_last);
    body->trailers = tee->inner->trailers;
    if (*ret_last && tee->pair)
        keep(tee, bytes);
    if (*ret_last && tee->pair)
        go(tee);
    return bytes;
}

static void drop_tee(struct body *body)
{
    body_drop(tee_of(body)->inner);
}

static enum status rewind_tee(struct body *body)
{
    struct tee *tee = tee_of(body);
    enum status e = tee->inner->ops->rewind ? tee->inner->ops->rewind(tee->inner) : INVALID;
    if (!e)
        tee->kept.size = 0;
    return e;
}

static const struct body_ops tee_ops = {.read = read_tee,
    .wait = wait_tee,
    .splice = splice_tee,
    .peek = peek_tee,
    .drop = drop_tee,
    .rewind = rewind_tee};

/* The exchange has ended, and nobody has read its body to the end. */
static void release_tee(void *argument)
{
    struct tee *tee = argument;
    if (tee->pair)
        give_up(tee, tee->pair->mirror->lost_series);
}

static bool put_tee(struct mirror_pair *pair, struct exchange *x)
{
    struct tee *tee = arena_new(&x->arena, struct tee);
    if (!tee || !arena_defer(&x->arena, release_tee, tee))
        return false;
    *tee = (struct tee){.inner = x->request.body,
        .x = x,
        .pair = pair,
        .kept = text_growing((size_t)pair->mirror->options->body)};
    tee->body = (struct body){
        .ops = &tee_ops, .length = tee->inner->length, .trailers = tee->inner->trailers};
    x->request.body = &tee->body;
    return true;
}

/* --- the original */

static bool is_chosen(const struct mirror *mirror, struct exchange *x)
{
    const struct mirror_options *options = mirror->options;
    if (!mirror->to || x->is_copy || x->is_websocket || x->is_rehearsal)
        return false;
    if (!options->unsafe && !http_method_is_safe(x->request.method))
        return false;
    if (fields_value_named(&x->request.fields, SLICE(MIRROR_FIELD)).data)
        return false; /* another gateway's copy */
    return options->share >= 1 ||
           (double)random_below(loop_random(), 1 << 30) < options->share * (double)(1 << 30);
}

static struct mirror_pair *new_pair(const struct mirror *mirror, struct exchange *x)
{
    struct metrics_shard *shard = plane_shard(mirror->from->plane, x->worker);
    bool is_large = x->request.body->length > mirror->options->body;
    if (is_large || !may_begin(mirror, x->worker)) {
        metric_add(shard, is_large ? mirror->large_series : mirror->busy_series, 1);
        return NULL;
    }
    struct mirror_pair *pair = calloc(1, sizeof *pair);
    if (!pair) {
        metric_add(shard, mirror->lost_series, 1);
        return NULL;
    }
    *pair = (struct mirror_pair){
        .mirror = mirror, .worker = x->worker, .users = 2, .began = loop_now()};
    atomic_fetch_add_explicit(running(mirror, x->worker), 1, memory_order_relaxed);
    return pair;
}

struct mirror_pair *mirror_begin(const struct mirror *mirror, struct exchange *x)
{
    struct mirror_pair *pair = is_chosen(mirror, x) ? new_pair(mirror, x) : NULL;
    if (!pair)
        return NULL;
    if (body_is_empty(x->request.body)) {
        launch(pair, x, SLICE_NONE);
    } else if (!put_tee(pair, x)) {
        count(pair, mirror->lost_series);
        end_copy(pair);
    }
    return pair;
}

static void original_read(void *argument, bool is_whole, uint64_t hash)
{
    struct mirror_pair *pair = argument;
    pair->original.has_hash = is_whole;
    pair->original.hash = hash;
    leave(pair);
}

void mirror_answered(struct mirror_pair *pair, struct exchange *x, enum status e)
{
    if (!pair)
        return;
    pair->original = (struct side){
        .is_known = true, .status = e ? 0 : x->response.status, .took = loop_now() - pair->began};
    struct witness *witness = NULL;
    if (!e && pair->mirror->options->compare == MIRROR_COMPARE_BODY)
        witness = arena_new(&x->arena, struct witness);
    if (witness)
        x->response.body = witness_begin(witness, x->response.body, true, original_read, pair);
    else
        leave(pair);
}
