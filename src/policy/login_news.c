#include "policy/login.h"

/* Gateways tell each other which sessions have ended, so that those are over everywhere at once:
 * who hears it makes a note in its own memory, which is looked at for each request. A message may
 * be lost; that it is so is learned when messages are heard again, and sessions are then looked for
 * in the store, whatever was found there before. */

struct login_news {
    struct store_listener listener; /* first */
    const struct login *login;      /* borrowed from the snapshot, as this is */
    _Atomic int64_t begun; /* the second at which messages were heard again; what was seen in the
                            * store until then may be old */
};

/* "login:sid:… 1795262400": a note's key, and its value. */
static void hear(struct store_listener *listener, struct slice message)
{
    const struct login *login = ((struct login_news *)listener)->login;
    struct slice key, when = message;
    uint64_t number;
    if (!slice_split(&when, ' ', &key) || !slice_has_prefix(key, SLICE("login:")) ||
        !slice_to_u64(when, &number))
        return;
    (void)store_set(login->memory, 0, key, when, login->lifetime, NEVER);
}

static void begin(struct store_listener *listener)
{
    atomic_store_explicit(
        &((struct login_news *)listener)->begun, login_now(), memory_order_relaxed);
}

static void unsubscribe(void *listener)
{
    store_unsubscribe(listener);
}

enum status login_news_prepare(struct login *login, struct prepare *prepare)
{
    struct arena *arena = prepare->reader->arena;
    if (!prepare->stores.shared)
        return OK;
    struct login_news *news = arena_new(arena, struct login_news);
    struct slice channel = login_note_key(login, arena, "ended", SLICE(""), SLICE(""));
    if (!news || !channel.data)
        return NO_MEMORY;
    *news = (struct login_news){
        .listener = {.channel = channel, .begin = begin, .hear = hear}, .login = login};
    enum status e = store_subscribe(login->archive, &news->listener);
    if (e)
        return e;
    login->news = news;
    return arena_own(arena, unsubscribe, &news->listener);
}

void login_news_tell(
    const struct login *login, struct exchange *x, struct slice key, struct slice when)
{
    if (!login->news)
        return;
    struct slice message = arena_format(&x->arena, "%.*s %.*s", SLICE_ARG(key), SLICE_ARG(when));
    if (message.data)
        (void)store_publish(
            login->archive, x->worker, login->news->listener.channel, message, x->deadline);
}

int64_t login_news_begun(const struct login *login)
{
    return login->news ? atomic_load_explicit(&login->news->begun, memory_order_relaxed) : 0;
}
