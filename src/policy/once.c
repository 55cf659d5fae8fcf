#include "policy/once.h"

#include "run/loop.h"

enum unavailable { LOCAL, REFUSE, PASS };

const char *const once_unavailable_words[] = {"local", "refuse", "pass", NULL};

#define DONE SLICE("done")

enum status once_prepare(
    struct prepare *prepare, const struct once_options *options, struct once *ret_once)
{
    const struct store_choice *stores = &prepare->stores;
    struct store *store;
    enum status e =
        store_choose(prepare->reader, stores, options->store, options->store_place, &store);
    if (e)
        return e;
    *ret_once = (struct once){.options = options,
        .name = prepare->name,
        .store = options->remember ? store : NULL,
        .local = stores->memory};
    return OK;
}

static enum status name_key(
    const struct once *once, struct exchange *x, struct slice id, struct once_hold *hold)
{
    char digest[TLS_DIGEST_SIZE];
    const struct slice parts[] = {once->name, SLICE("\n"), id};
    struct slice whole = arena_join(&x->arena, parts, 3);
    if (!whole.data || tls_digest(whole, digest))
        return NO_MEMORY;
    hold->key = arena_format(&x->arena, "once:%s", digest);
    hold->token = arena_format(
        &x->arena, "%llx %llx", (unsigned long long)x->id_number, (unsigned long long)clock_wall());
    return hold->key.data && hold->token.data ? OK : NO_MEMORY;
}

static enum status add(struct once_hold *hold, struct exchange *x, enum once_verdict *ret_verdict)
{
    struct slice there;
    instant deadline = clock_sooner(x->deadline, loop_now() + ONCE_TIMEOUT);
    enum status e = store_add(
        hold->store, x->worker, hold->key, hold->token, ONCE_LEASE, deadline, &x->arena, &there);
    if (e != CONFLICT) {
        *ret_verdict = ONCE_FIRST;
        return e;
    }
    *ret_verdict = slice_equal(there, DONE) ? ONCE_DONE : ONCE_RUNNING;
    return OK;
}

static enum status begin_without(
    struct once_hold *hold, struct exchange *x, enum once_verdict *ret_verdict)
{
    const struct once *once = hold->once;
    bool has_local = once->local && hold->store != once->local;
    hold->store = NULL;
    *ret_verdict = ONCE_FIRST;
    if (once->options->if_unavailable == PASS)
        return OK;
    if (once->options->if_unavailable == REFUSE || !has_local)
        return STORE_UNAVAILABLE;
    hold->store = once->local;
    return add(hold, x, ret_verdict) ? STORE_UNAVAILABLE : OK;
}

static enum status begin(const struct once *once, struct exchange *x, struct slice id,
    struct slice token, struct once_hold *ret_hold, enum once_verdict *ret_verdict)
{
    struct once_hold hold = {.once = once, .x = x, .store = once->store, .token = token};
    enum once_verdict verdict = ONCE_FIRST;
    enum status e = OK;
    if (hold.store) {
        e = name_key(once, x, id, &hold);
        if (!e)
            e = add(&hold, x, &verdict);
        if (e && e != CANCELLED && e != NO_MEMORY)
            e = begin_without(&hold, x, &verdict);
    }
    if (e)
        return e;
    *ret_hold = hold;
    *ret_verdict = verdict;
    return OK;
}

enum status once_begin(const struct once *once, struct exchange *x, struct slice id,
    struct once_hold *ret_hold, enum once_verdict *ret_verdict)
{
    struct slice token = arena_format(
        &x->arena, "%llx %llx", (unsigned long long)x->id_number, (unsigned long long)clock_wall());
    return token.data ? begin(once, x, id, token, ret_hold, ret_verdict) : NO_MEMORY;
}

enum status once_see(
    const struct once *once, struct exchange *x, struct slice id, enum once_verdict *ret_verdict)
{
    struct once_hold hold;
    return begin(once, x, id, DONE, &hold, ret_verdict);
}

void once_keep(const struct once_hold *hold)
{
    if (!hold->store)
        return;
    fiber_shield();
    (void)store_set(hold->store, hold->x->worker, hold->key, DONE, hold->once->options->remember,
        loop_now() + ONCE_TIMEOUT);
    fiber_unshield();
}

void once_free(const struct once_hold *hold)
{
    if (!hold->store)
        return;
    fiber_shield();
    (void)store_swap(hold->store, hold->x->worker, hold->key, hold->token, SLICE_NONE, SECOND,
        loop_now() + ONCE_TIMEOUT);
    fiber_unshield();
}
