#include "policy/limit_records.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/random.h"

#define SHARDS_MAX      64
#define SHARD_KEYS      256 /* at least, where there are several shards */
#define KEYS_MIN        64
#define KEYS_MAX        ((size_t)1 << 30)
#define NOBODY          UINT32_MAX

#define CACHE_LINE      ((size_t)64)
#define SEVERAL_LINES   ((size_t)256) /* bytes of a seat from which on they are worth aligning */
#define SEATS_OF_A_LINE 2             /* at most: the first begins with a line */
#define FETCHED         ((size_t)256) /* of a seat, when it is looked for */

/* The lists that a seat may be in. Who makes room is looked for in this order, up to who is held.
 */
enum rank {
    RANK_ONCE,  /* has come once */
    RANK_AGAIN, /* at most three quarters of a shard */
    RANK_HELD,  /* does not expire: makes no room */
    RANK_NEW,   /* for as long as it is being used for the first time */
    RANKS
};

/* A key's place, its record behind it: what is cold comes into the cache together. */
struct seat {
    uint64_t tag;
    uint32_t next_of_bucket;
    uint32_t newer, older;
    uint32_t rank : 2;     /* enum rank */
    uint32_t entered : 30; /* as many had entered the ranking before */
    int64_t record[];
};

#define ENTERED_MASK (((uint32_t)1 << 30) - 1)

struct ranking {
    uint32_t newest, oldest, count;
    uint32_t entered; /* ever */
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    uint32_t *buckets; /* owned; the first seat of each */
    void *memory;      /* owned; of the seats */
    char *seats;       /* and of one more, for looking */
    uint32_t used;     /* seats that ever had a key */
    struct ranking ranks[RANKS];
};

struct limit_records {
    const struct limit_algorithm *algorithm;
    size_t words, seat_size;
    uint32_t seats, bucket_mask; /* of each shard */
    uint32_t shard_mask;
    struct hash_key hash_key;
    struct shard shards[SHARDS_MAX];
};

static size_t root_of(size_t n)
{
    size_t root = 1;
    while (root * root < n)
        root++;
    return root;
}

static uint32_t shards_for(size_t keys)
{
    uint32_t shards = 1;
    while (shards < SHARDS_MAX && keys / shards >= 2 * SHARD_KEYS)
        shards *= 2;
    return shards;
}

/* Keys do not fall evenly on shards: each has as much more room as chance may want. */
static size_t seats_for(size_t keys)
{
    if (keys < KEYS_MIN)
        keys = KEYS_MIN;
    uint32_t shards = shards_for(keys);
    size_t mean = (keys + shards - 1) / shards;
    return shards == 1 ? mean : mean + 4 * root_of(mean);
}

static uint32_t buckets_for(size_t seats)
{
    uint32_t buckets = 1;
    while (buckets < seats)
        buckets *= 2;
    return buckets;
}

/* Those that take several lines of the cache begin with one. SIZE_MAX: too much. */
static size_t seat_size_for(size_t words)
{
    size_t size;
    if (__builtin_mul_overflow(words, sizeof(int64_t), &size) ||
        __builtin_add_overflow(size, sizeof(struct seat), &size) || size > SIZE_MAX - CACHE_LINE)
        return SIZE_MAX;
    return size < SEVERAL_LINES ? size : (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

size_t limit_records_size(size_t keys, size_t words)
{
    size_t seats = seats_for(keys), size = seat_size_for(words), all;
    if (keys > KEYS_MAX || __builtin_mul_overflow(size, seats + 1, &all))
        return SIZE_MAX;
    all += buckets_for(seats) * sizeof(uint32_t);
    return __builtin_mul_overflow(all, shards_for(keys), &all) ? SIZE_MAX : all;
}

/* Cleared memory that nobody touches takes none. */
static bool init_shard(struct shard *shard, const struct limit_records *records)
{
    pthread_mutex_init(&shard->lock, NULL);
    size_t buckets = (size_t)records->bucket_mask + 1;
    shard->buckets = malloc(buckets * sizeof *shard->buckets);
    shard->memory = calloc((size_t)records->seats + 1 + SEATS_OF_A_LINE, records->seat_size);
    if (!shard->buckets || !shard->memory)
        return false;
    shard->seats = (char *)shard->memory + (-(uintptr_t)shard->memory & (CACHE_LINE - 1));
    memset(shard->buckets, 0xff, buckets * sizeof *shard->buckets);
    for (int i = 0; i < RANKS; i++)
        shard->ranks[i] = (struct ranking){NOBODY, NOBODY, 0, 0};
    return true;
}

enum status limit_records_new(const struct limit_algorithm *algorithm, size_t keys, size_t words,
    struct limit_records **ret_records)
{
    if (limit_records_size(keys, words) == SIZE_MAX)
        return NO_MEMORY;
    struct limit_records *records = aligned_alloc(64, sizeof *records);
    if (!records)
        return NO_MEMORY;
    memset(records, 0, sizeof *records);
    records->algorithm = algorithm;
    records->words = words;
    records->seat_size = seat_size_for(words);
    records->seats = (uint32_t)seats_for(keys);
    records->bucket_mask = buckets_for(records->seats) - 1;
    records->shard_mask = shards_for(keys < KEYS_MIN ? KEYS_MIN : keys) - 1;
    random_bytes(&records->hash_key, sizeof records->hash_key);
    for (uint32_t i = 0; i <= records->shard_mask; i++)
        if (!init_shard(&records->shards[i], records)) {
            records->shard_mask = i;
            limit_records_free(records);
            return NO_MEMORY;
        }
    *ret_records = records;
    return OK;
}

void limit_records_free(struct limit_records *records)
{
    if (!records)
        return;
    for (uint32_t i = 0; i <= records->shard_mask; i++) {
        struct shard *shard = &records->shards[i];
        pthread_mutex_destroy(&shard->lock);
        free(shard->buckets);
        free(shard->memory);
    }
    free(records);
}

/* --- a shard; who calls has its lock */

static struct seat *seat_of(
    const struct limit_records *records, const struct shard *shard, uint32_t number)
{
    return (struct seat *)(void *)&shard->seats[number * records->seat_size];
}

static void leave_rank(const struct limit_records *records, struct shard *shard, uint32_t number)
{
    struct seat *seat = seat_of(records, shard, number);
    struct ranking *ranking = &shard->ranks[seat->rank];
    *(seat->newer == NOBODY ? &ranking->newest : &seat_of(records, shard, seat->newer)->older) =
        seat->older;
    *(seat->older == NOBODY ? &ranking->oldest : &seat_of(records, shard, seat->older)->newer) =
        seat->newer;
    ranking->count--;
}

static void enter_rank(
    const struct limit_records *records, struct shard *shard, uint32_t number, enum rank rank)
{
    struct seat *seat = seat_of(records, shard, number);
    struct ranking *ranking = &shard->ranks[rank];
    seat->rank = rank;
    seat->entered = ranking->entered++ & ENTERED_MASK;
    seat->newer = NOBODY;
    seat->older = ranking->newest;
    *(seat->older == NOBODY ? &ranking->oldest : &seat_of(records, shard, seat->older)->newer) =
        number;
    ranking->newest = number;
    ranking->count++;
}

static void move(
    const struct limit_records *records, struct shard *shard, uint32_t number, enum rank rank)
{
    leave_rank(records, shard, number);
    enter_rank(records, shard, number, rank);
}

/* Is it among the newest of its ranking as it is? */
static bool is_new_enough(
    const struct limit_records *records, const struct shard *shard, const struct seat *seat)
{
    uint32_t since = (shard->ranks[seat->rank].entered - seat->entered) & ENTERED_MASK;
    return since <= records->seats / 3;
}

static uint32_t *bucket_of(const struct limit_records *records, struct shard *shard, uint64_t tag)
{
    return &shard->buckets[tag & records->bucket_mask];
}

/* The lines behind the first, while that is on its way. */
static void fetch_ahead(const struct limit_records *records, const struct seat *seat)
{
    for (size_t at = CACHE_LINE; at < records->seat_size && at < FETCHED; at += CACHE_LINE)
        __builtin_prefetch((const char *)seat + at, 1);
}

static uint32_t find(const struct limit_records *records, struct shard *shard, uint64_t tag)
{
    uint32_t number = *bucket_of(records, shard, tag);
    while (number != NOBODY) {
        const struct seat *seat = seat_of(records, shard, number);
        fetch_ahead(records, seat);
        if (seat->tag == tag)
            break;
        number = seat->next_of_bucket;
    }
    return number;
}

/* NOBODY: all are held. */
static uint32_t make_room(struct limit_records *records, struct shard *shard)
{
    uint32_t number = NOBODY;
    for (int rank = 0; rank < RANK_HELD && number == NOBODY; rank++)
        number = shard->ranks[rank].oldest;
    if (number == NOBODY)
        return NOBODY;
    struct seat *seat = seat_of(records, shard, number);
    leave_rank(records, shard, number);
    uint32_t *link = bucket_of(records, shard, seat->tag);
    while (*link != number)
        link = &seat_of(records, shard, *link)->next_of_bucket;
    *link = seat->next_of_bucket;
    memset(seat->record, 0, records->words * sizeof(int64_t));
    return number;
}

static uint32_t find_or_add(struct limit_records *records, struct shard *shard, uint64_t tag)
{
    uint32_t number = find(records, shard, tag);
    if (number != NOBODY)
        return number;
    number = shard->used < records->seats ? shard->used++ : make_room(records, shard);
    if (number == NOBODY)
        return NOBODY;
    uint32_t *bucket = bucket_of(records, shard, tag);
    struct seat *seat = seat_of(records, shard, number);
    seat->tag = tag;
    seat->next_of_bucket = *bucket;
    *bucket = number;
    enter_rank(records, shard, number, RANK_NEW);
    return number;
}

/* Notes that a key was used. */
static void touch(struct limit_records *records, struct shard *shard, uint32_t number,
    const struct limit_rule *rule)
{
    const struct seat *seat = seat_of(records, shard, number);
    enum rank rank = seat->rank == RANK_NEW ? RANK_ONCE : RANK_AGAIN;
    if (records->algorithm->expires(rule, seat->record) == INT64_MAX)
        rank = RANK_HELD;
    if (seat->rank == rank && is_new_enough(records, shard, seat))
        return;
    move(records, shard, number, rank);
    if (shard->ranks[RANK_AGAIN].count > records->seats / 4 * 3)
        move(records, shard, shard->ranks[RANK_AGAIN].oldest, RANK_ONCE);
}

/* --- all of them */

static struct shard *enter(struct limit_records *records, struct slice key, uint64_t *ret_tag)
{
    *ret_tag = hash_keyed(key, records->hash_key);
    struct shard *shard = &records->shards[*ret_tag >> 32 & records->shard_mask];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

struct limit_decision limit_records_take(struct limit_records *records, struct slice key,
    const struct limit_rule *rule, int64_t cost, int64_t now)
{
    uint64_t tag;
    struct limit_decision decision = {.allowed = false, .at = now};
    struct shard *shard = enter(records, key, &tag);
    uint32_t number = find_or_add(records, shard, tag);
    if (number != NOBODY) {
        records->algorithm->take(
            rule, seat_of(records, shard, number)->record, cost, now, &decision);
        touch(records, shard, number, rule);
    }
    pthread_mutex_unlock(&shard->lock);
    return decision;
}

void limit_records_settle(struct limit_records *records, struct slice key,
    const struct limit_rule *rule, int64_t difference, int64_t at, int64_t now)
{
    uint64_t tag;
    struct shard *shard = enter(records, key, &tag);
    uint32_t number = difference < 0 ? find(records, shard, tag) : find_or_add(records, shard, tag);
    if (number != NOBODY) { /* else it is forgotten: there is nothing to give back to */
        int64_t *record = seat_of(records, shard, number)->record;
        records->algorithm->settle(rule, record, difference, at, now);
        touch(records, shard, number, rule);
    }
    pthread_mutex_unlock(&shard->lock);
}

struct limit_decision limit_records_look(struct limit_records *records, struct slice key,
    const struct limit_rule *rule, int64_t cost, int64_t now)
{
    uint64_t tag;
    struct limit_decision decision;
    struct shard *shard = enter(records, key, &tag);
    uint32_t number = find(records, shard, tag);
    int64_t *copy = seat_of(records, shard, records->seats)->record;
    size_t size = records->words * sizeof *copy;
    if (number == NOBODY)
        memset(copy, 0, size);
    else
        memcpy(copy, seat_of(records, shard, number)->record, size);
    limit_look(records->algorithm, rule, copy, cost, now, &decision);
    pthread_mutex_unlock(&shard->lock);
    return decision;
}

size_t limit_records_count(struct limit_records *records)
{
    size_t count = 0;
    for (uint32_t i = 0; i <= records->shard_mask; i++) {
        struct shard *shard = &records->shards[i];
        pthread_mutex_lock(&shard->lock);
        count += shard->used;
        pthread_mutex_unlock(&shard->lock);
    }
    return count;
}
