#include "store/store.h"

#include <openssl/evp.h>

#include "base/must.h"
#include "store/bus.h"
#include "store/store_ops.h"

enum status store_program_init(struct store_program *program, const struct store_script *script)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size;
    if (!EVP_Digest(script->lua, strlen(script->lua), digest, &size, EVP_sha1(), NULL))
        return NO_MEMORY;
    program->script = script;
    for (unsigned i = 0; i < STORE_SHA_SIZE / 2; i++) {
        program->sha[2 * i] = digits[digest[i] >> 4];
        program->sha[2 * i + 1] = digits[digest[i] & 15];
    }
    program->sha[STORE_SHA_SIZE - 1] = '\0';
    return OK;
}

static enum status ask(struct store *store, struct store_question *question)
{
    if (question->key.size > STORE_KEY_MAX || question->value.size > STORE_VALUE_MAX ||
        question->expected.size > STORE_VALUE_MAX)
        return TOO_LARGE;
    return store->ops->ask(store, question);
}

/* Null data would say that there is none. */
static struct slice some(struct slice value)
{
    return value.data ? value : SLICE("");
}

enum status store_get(struct store *store, unsigned worker, struct slice key, instant deadline,
    struct arena *arena, struct slice *ret_value)
{
    struct store_question question = {
        .verb = STORE_GET, .worker = worker, .key = key, .deadline = deadline, .arena = arena};
    enum status e = ask(store, &question);
    if (!e)
        *ret_value = question.there;
    return e;
}

enum status store_set(struct store *store, unsigned worker, struct slice key, struct slice value,
    int64_t ttl, instant deadline)
{
    struct store_question question = {.verb = STORE_SET,
        .worker = worker,
        .key = key,
        .value = some(value),
        .ttl = ttl,
        .deadline = deadline};
    must(ttl > 0);
    return ask(store, &question);
}

enum status store_add(struct store *store, unsigned worker, struct slice key, struct slice value,
    int64_t ttl, instant deadline, struct arena *arena, struct slice *ret_there)
{
    struct store_question question = {.verb = STORE_ADD,
        .worker = worker,
        .key = key,
        .value = some(value),
        .ttl = ttl,
        .deadline = deadline,
        .arena = arena};
    must(ttl > 0);
    enum status e = ask(store, &question);
    if (e == CONFLICT)
        *ret_there = question.there;
    return e;
}

enum status store_swap(struct store *store, unsigned worker, struct slice key,
    struct slice expected, struct slice value, int64_t ttl, instant deadline)
{
    struct store_question question = {.verb = STORE_SWAP,
        .worker = worker,
        .key = key,
        .value = value,
        .expected = some(expected),
        .ttl = value.data ? ttl : 1,
        .deadline = deadline};
    must(question.ttl > 0);
    return ask(store, &question);
}

enum status store_count(struct store *store, unsigned worker, struct slice key, int64_t delta,
    int64_t ttl, instant deadline, int64_t *ret_sum)
{
    struct store_question question = {.verb = STORE_COUNT,
        .worker = worker,
        .key = key,
        .delta = delta,
        .ttl = ttl,
        .deadline = deadline};
    must(ttl > 0);
    enum status e = ask(store, &question);
    if (!e)
        *ret_sum = question.results[0];
    return e;
}

enum status store_run(struct store *store, unsigned worker, const struct store_program *program,
    struct slice key, const int64_t *arguments, instant deadline, int64_t *ret_results)
{
    struct store_question question = {.verb = STORE_RUN,
        .worker = worker,
        .key = key,
        .program = program,
        .arguments = arguments,
        .deadline = deadline};
    enum status e = ask(store, &question);
    if (!e)
        memcpy(ret_results, question.results, program->script->results * sizeof *ret_results);
    return e;
}

enum status store_publish(struct store *store, unsigned worker, struct slice channel,
    struct slice message, instant deadline)
{
    struct store_question question = {.verb = STORE_PUBLISH,
        .worker = worker,
        .key = channel,
        .value = some(message),
        .deadline = deadline};
    if (channel.size > STORE_CHANNEL_MAX || message.size > STORE_MESSAGE_MAX)
        return TOO_LARGE;
    if (store->ops->listen)
        return ask(store, &question);
    if (store->bus)
        store_bus_say(store->bus, store, channel, message);
    return OK;
}

enum status store_subscribe(struct store *store, struct store_listener *listener)
{
    if (listener->channel.size > STORE_CHANNEL_MAX)
        return TOO_LARGE;
    listener->store = store;
    list_init(&listener->node);
    if (!store->bus)
        return OK;
    enum status e = store->ops->listen ? store->ops->listen(store, listener->channel, true) : OK;
    if (e)
        return e;
    store_bus_add(store->bus, listener);
    if (!store->ops->listen)
        store_bus_begin(store->bus, store, listener->channel);
    return OK;
}

void store_unsubscribe(struct store_listener *listener)
{
    struct store *store = listener->store;
    if (!store || list_is_empty(&listener->node))
        return;
    list_remove(&listener->node);
    if (store->ops->listen && !store_bus_has(store->bus, store, listener->channel))
        (void)store->ops->listen(store, listener->channel, false);
}

void store_join(struct store *store, unsigned worker)
{
    if (store->ops->join)
        store->ops->join(store, worker);
}

void store_describe(const struct store *store, struct json_writer *writer)
{
    store->ops->describe(store, writer);
}
