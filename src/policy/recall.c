#include "policy/recall.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/json_writer.h"
#include "base/table.h"
#include "run/loop.h"
#include "run/mailbox.h"

#define PARTS      8
#define ITEMS_MAX  ((size_t)1 << 20)  /* of a part; more than its size lets in */
#define LARGE      ((size_t)64 << 10) /* what takes more is not remembered */
#define ITEM_BLOCK 512

struct part {
    _Alignas(64) pthread_mutex_t mutex;
    struct table known; /* guarded, as all here: of struct recalled, by key */
    struct table asked; /* of struct question */
    struct list recent; /* used last first */
    size_t size;        /* bytes of what is known */
};

struct recall {
    struct part parts[PARTS];
    size_t part_size;
    char *name;                          /* owned: what asks and whom, for people */
    struct metrics_shard *const *shards; /* borrowed: as long as the process */
    uint32_t evicted;                    /* series */
};

/* What is being asked for, on the stack of who asks. */
struct question {
    struct list waiters;
};

/* Who waits for the answer, on its own stack; told from another thread by a message to its loop. */
struct waiter {
    struct list node; /* in the question's list until it is told */
    struct message message;
    struct loop *loop;
    struct fiber *fiber;
    enum status outcome;
    struct recalled *recalled; /* with OK: counted for it */
    bool is_to_ask;            /* who asked was given up: begin anew */
    bool is_told;              /* guarded: the message is on its way or here */
    bool is_here;              /* of its own thread */
};

/* --- made once */

struct making {
    struct slice name;
    size_t size;
};

/* The first two lines, without a query; what follows may be secret, or of no use to people. */
static char *name_of(struct slice name)
{
    struct slice rest = name, line;
    (void)slice_split(&rest, '\n', &line);
    size_t first = line.size;
    (void)slice_split(&rest, '\n', &line);
    size_t second = slice_find(line, '?');
    return strndup(name.data, first + (first < name.size) + second);
}

static enum status init(void *object, void *context)
{
    struct recall *recall = object;
    const struct making *making = context;
    recall->name = name_of(making->name);
    if (!recall->name)
        return NO_MEMORY;
    recall->part_size = making->size / PARTS;
    for (size_t i = 0; i < PARTS; i++) {
        struct part *part = &recall->parts[i];
        pthread_mutex_init(&part->mutex, NULL); /* a usual one cannot fail */
        table_init(&part->known, ITEMS_MAX);
        table_init(&part->asked, ITEMS_MAX);
        list_init(&part->recent);
    }
    return OK;
}

/* Counts once less what the memory has held. */
static void forget(struct part *part, struct recalled *recalled)
{
    (void)table_remove(&part->known, recalled->key);
    list_remove(&recalled->node);
    recalled->is_known = false;
    part->size -= recalled->arena.used;
    recalled_unref(recalled);
}

static void release(void *object)
{
    struct recall *recall = object;
    for (size_t i = 0; i < PARTS; i++) {
        struct part *part = &recall->parts[i];
        list_each (node, &part->recent)
            forget(part, list_entry(node, struct recalled, node));
        table_release(&part->known);
        table_release(&part->asked);
        pthread_mutex_destroy(&part->mutex);
    }
    free(recall->name);
}

void recall_describe(const void *object, struct json_writer *writer)
{
    struct recall *recall = (struct recall *)(uintptr_t)object; /* to lock it */
    struct slice name = slice_of_text(recall->name);
    size_t line = slice_find(name, '\n'), entries = 0, size = 0;
    for (size_t i = 0; i < PARTS; i++) {
        struct part *part = &recall->parts[i];
        pthread_mutex_lock(&part->mutex);
        entries += part->known.count;
        size += part->size;
        pthread_mutex_unlock(&part->mutex);
    }
    json_put_text(writer, "of", slice_head(name, line));
    json_put_text(writer, "at", slice_from(name, line + 1));
    json_put_u64(writer, "entries", entries);
    json_put_u64(writer, "bytes", size);
    json_put_u64(writer, "bytes_max", recall->part_size * PARTS);
}

enum status recall_obtain(
    struct prepare *prepare, struct slice name, size_t size, struct recall **ret_recall)
{
    static const struct registry_kind kind = {RECALL_KIND, sizeof(struct recall), init, release};
    static const struct metric_family evicted = {.name = "weir_recall_evictions_total",
        .help = "Answers of authorities that were forgotten before their time, for want of room.",
        .kind = METRIC_COUNTER,
        .labels = {"policy"}};
    void *object;
    struct making making = {name, size};
    enum status e = registry_obtain(prepare->registry, &kind, name, &making, &object);
    if (e)
        return e;
    if (arena_own(prepare->reader->arena, registry_release, object))
        return NO_MEMORY;
    struct recall *recall = object;
    if (!recall->shards) {
        recall->evicted = metrics_series(prepare->metrics, &evicted, &prepare->name);
        recall->shards = prepare->shards;
    }
    *ret_recall = recall;
    return OK;
}

/* --- one answer */

static enum status recalled_new(struct slice key, struct recalled **ret_recalled)
{
    struct recalled *recalled = calloc(1, sizeof *recalled);
    if (!recalled)
        return NO_MEMORY;
    arena_init(&recalled->arena, ITEM_BLOCK, 0);
    list_init(&recalled->node);
    atomic_init(&recalled->users, 1);
    recalled->key = arena_copy(&recalled->arena, key);
    if (!recalled->key.data) {
        recalled_unref(recalled);
        return NO_MEMORY;
    }
    *ret_recalled = recalled;
    return OK;
}

static struct recalled *count(struct recalled *recalled)
{
    atomic_fetch_add_explicit(&recalled->users, 1, memory_order_relaxed);
    return recalled;
}

void recalled_unref(void *argument)
{
    struct recalled *recalled = argument;
    if (!recalled || atomic_fetch_sub_explicit(&recalled->users, 1, memory_order_acq_rel) > 1)
        return;
    arena_release(&recalled->arena);
    free(recalled);
}

/* --- the memory, under its part's lock */

static struct part *part_of(struct recall *recall, struct slice key)
{
    return &recall->parts[hash_bytes(key) % PARTS];
}

static struct recalled *find_known(struct part *part, struct slice key)
{
    struct recalled *recalled = table_get(&part->known, key);
    if (!recalled)
        return NULL;
    if (clock_now() >= recalled->until) {
        forget(part, recalled);
        return NULL;
    }
    list_remove(&recalled->node);
    list_push_front(&part->recent, &recalled->node);
    return count(recalled);
}

/* Returns how many had to go for it. */
static uint64_t remember(struct recall *recall, struct part *part, struct recalled *recalled)
{
    size_t size = recalled->arena.used;
    uint64_t evicted = 0;
    struct recalled *same = table_get(&part->known, recalled->key);
    if (same)
        forget(part, same);
    if (recalled->until <= clock_now() || size > LARGE || size > recall->part_size)
        return 0;
    for (; part->size + size > recall->part_size; evicted++)
        forget(part, list_entry(part->recent.previous, struct recalled, node));
    if (table_put(&part->known, recalled->key, recalled))
        return evicted;
    list_push_front(&part->recent, &recalled->node);
    part->size += size;
    recalled->is_known = true;
    (void)count(recalled);
    return evicted;
}

void recall_forget(struct recall *recall, struct recalled *recalled)
{
    struct part *part = part_of(recall, recalled->key);
    pthread_mutex_lock(&part->mutex);
    if (recalled->is_known)
        forget(part, recalled);
    pthread_mutex_unlock(&part->mutex);
}

/* --- waiting */

static void deliver(struct message *message)
{
    struct waiter *waiter = list_entry(message, struct waiter, message);
    waiter->is_here = true;
    fiber_wake(waiter->fiber);
}

/* Under the lock, so that a waiter that takes it once more knows that the posting is over. */
static void tell(
    struct question *question, enum status outcome, struct recalled *recalled, bool is_given_up)
{
    list_each (node, &question->waiters) {
        struct waiter *waiter = list_entry(node, struct waiter, node);
        list_remove(node);
        waiter->outcome = outcome;
        waiter->is_to_ask = is_given_up;
        waiter->recalled = outcome ? NULL : count(recalled);
        waiter->is_told = true;
        waiter->message.deliver = deliver;
        mailbox_post(waiter->loop, &waiter->message);
    }
}

/* The message uses the waiter's memory, so who was told waits for that whatever happens. */
static void await_message(struct waiter *waiter)
{
    fiber_shield();
    while (!waiter->is_here)
        (void)fiber_wait(NEVER);
    fiber_unshield();
}

/* Takes the lock over and gives it back. `ret_is_to_ask`: with OK: nobody knows. */
static enum status join(struct part *part, struct question *question, instant deadline,
    struct recalled **ret_recalled, bool *ret_is_to_ask)
{
    struct waiter waiter = {.loop = loop_current(), .fiber = fiber_current()};
    list_push_back(&question->waiters, &waiter.node);
    pthread_mutex_unlock(&part->mutex);
    enum status e = OK;
    while (!e && !waiter.is_here)
        e = fiber_wait(deadline);
    pthread_mutex_lock(&part->mutex);
    list_remove(&waiter.node);
    bool is_told = waiter.is_told;
    pthread_mutex_unlock(&part->mutex);
    *ret_is_to_ask = false;
    if (!is_told)
        return e;
    await_message(&waiter);
    if (e == CANCELLED) {
        recalled_unref(waiter.recalled);
        return e;
    }
    *ret_is_to_ask = waiter.is_to_ask;
    *ret_recalled = waiter.recalled;
    return waiter.is_to_ask ? OK : waiter.outcome;
}

/* --- asking */

/* Whoever's own time is over says nothing of the one who is asked. */
static bool is_given_up(const struct exchange *x, enum status e)
{
    return e == CANCELLED || (e && clock_now() >= x->deadline);
}

/* Takes the lock over and gives it back. */
static enum status ask_oneself(struct recall *recall, const struct exchange *x, struct part *part,
    struct recalled *recalled, recall_asker *ask, void *context)
{
    struct question question;
    uint64_t evicted = 0;
    list_init(&question.waiters);
    enum status e = table_put(&part->asked, recalled->key, &question);
    pthread_mutex_unlock(&part->mutex);
    if (e)
        return NO_MEMORY;
    e = ask(context, x, recalled);
    pthread_mutex_lock(&part->mutex);
    (void)table_remove(&part->asked, recalled->key);
    if (!e)
        evicted = remember(recall, part, recalled);
    tell(&question, e, recalled, is_given_up(x, e));
    pthread_mutex_unlock(&part->mutex);
    if (evicted)
        metric_add(recall->shards[x->worker], recall->evicted, evicted);
    return e;
}

static enum status ask_anew(struct recall *recall, const struct exchange *x, struct part *part,
    struct slice key, recall_asker *ask, void *context, struct recalled **ret_recalled)
{
    struct recalled *recalled;
    enum status e = recalled_new(key, &recalled);
    if (e) {
        pthread_mutex_unlock(&part->mutex);
        return e;
    }
    e = ask_oneself(recall, x, part, recalled, ask, context);
    if (e)
        recalled_unref(recalled);
    else
        *ret_recalled = recalled;
    return e;
}

static enum status get(struct recall *recall, const struct exchange *x, struct slice key,
    recall_asker *ask, void *context, bool is_anew, struct recalled **ret_recalled,
    bool *ret_was_known)
{
    struct part *part = part_of(recall, key);
    *ret_was_known = false;
    for (;;) {
        pthread_mutex_lock(&part->mutex);
        struct recalled *recalled = is_anew ? NULL : find_known(part, key);
        if (recalled) {
            pthread_mutex_unlock(&part->mutex);
            *ret_recalled = recalled;
            *ret_was_known = true;
            return OK;
        }
        struct question *question = table_get(&part->asked, key);
        if (!question)
            return ask_anew(recall, x, part, key, ask, context, ret_recalled);
        bool is_to_ask;
        enum status e = join(part, question, x->deadline, ret_recalled, &is_to_ask);
        if (!is_to_ask)
            return e;
    }
}

enum status recall_get(struct recall *recall, const struct exchange *x, struct slice key,
    recall_asker *ask, void *context, struct recalled **ret_recalled, bool *ret_was_known)
{
    return get(recall, x, key, ask, context, false, ret_recalled, ret_was_known);
}

enum status recall_renew(struct recall *recall, const struct exchange *x, struct slice key,
    recall_asker *ask, void *context)
{
    struct recalled *recalled;
    bool was_known;
    enum status e = get(recall, x, key, ask, context, true, &recalled, &was_known);
    if (!e)
        recalled_unref(recalled);
    return e;
}
