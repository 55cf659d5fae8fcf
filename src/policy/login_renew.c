#include "policy/login.h"

#include <stdlib.h>

#include "run/fiber.h"
#include "run/loop.h"

/* Renews sessions with refresh tokens. Many providers take each refresh token once, and take a
 * second time for theft (RFC 9700 §4.14.2), while a browser sends its requests many at a time, to
 * any worker of any gateway, and may go away before the answer is there. So
 *
 *   - who finds a session due claims it in the store; whoever comes after sees that it is under
 * way;
 *   - the claimant asks on a fiber that outlives its request;
 *   - what comes of it stays in the store for a while, for all who still come with the old session.
 *
 * A note about a session is "busy", "later" (the provider could not be asked), "over" (it has
 * refused), or "=" and the new session, sealed.
 *
 * As long as the tokens are good, only the claimant waits; after that all do. A session goes on
 * while the provider cannot be asked. */

#define NOTE_LIFE   (10 * MINUTE)
#define LATER_LIFE  (10 * SECOND)
#define EXTRA_LIFE  (10 * SECOND) /* of a claim, beyond what the provider may take */
#define STEPS_MAX   8             /* renewals that one request may find, one after the other */
#define PAUSE_FIRST (5 * MILLISECOND)
#define PAUSE_MOST  (50 * MILLISECOND)

/* The work of a claimant. */
struct renewal {
    const struct login *login;
    const struct login_provider *provider;
    struct exchange x; /* owned; only what asking needs of it */
    struct slice key;  /* in x's arena, as all else */
    struct login_session session;
};

static struct slice key_of(
    const struct login *login, struct arena *arena, const struct login_session *session)
{
    struct slice name =
        arena_format(arena, "%.*s %lld", SLICE_ARG(session->id), (long long)session->number);
    return name.data ? login_note_key(login, arena, "renewal", session->provider, name)
                     : SLICE_NONE;
}

/* --- the work, on a fiber of its own */

/* OpenID Connect Core 1.0 §12.2: a newer ID token is of the same user. */
static bool is_same_user(const struct json_value *old, const struct json_value *new)
{
    struct slice nonce = json_text_of(new, "nonce");
    return slice_equal(json_text_of(old, "sub"), json_text_of(new, "sub")) &&
           (!nonce.size || slice_equal(nonce, json_text_of(old, "nonce")));
}

/* The old refresh token is spent by now: if there is no more to be known of the user, what is known
 * stays. But another user's tokens are no good. */
static enum status ask_userinfo(
    struct renewal *renewal, const struct oidc_provider *found, struct login_tokens *tokens)
{
    const char *why;
    enum status e = login_ask_userinfo(renewal->login, renewal->provider, found, &renewal->x,
        tokens, json_text_of(renewal->session.claims, "sub"), &why);
    if (e && e != LOGIN_DENIED)
        tokens->userinfo = renewal->session.userinfo;
    return e == LOGIN_DENIED ? e : OK;
}

static enum status ask(struct renewal *renewal, struct login_tokens *tokens)
{
    const char *why;
    struct oidc_provider found;
    struct text form = text_growing(0);
    enum status e = login_discover(renewal->login, renewal->provider, &renewal->x, &found);
    oauth_form_add(&form, "grant_type", SLICE("refresh_token"));
    oauth_form_add(&form, "refresh_token", renewal->session.refresh_token);
    if (!e)
        e = login_ask_tokens(
            renewal->login, renewal->provider, &found, &renewal->x, &form, tokens, &why);
    text_release(&form);
    if (!e && tokens->claims && !is_same_user(renewal->session.claims, tokens->claims))
        e = LOGIN_DENIED;
    return e ? e : ask_userinfo(renewal, &found, tokens);
}

/* What to note, and for how long. */
static enum status word(struct renewal *renewal, enum status e, const struct login_tokens *tokens,
    struct slice *ret_note, int64_t *ret_life)
{
    struct login_session *session = &renewal->session;
    struct slice text;
    *ret_note = e == LOGIN_DENIED ? SLICE("over") : SLICE("later");
    *ret_life = e == LOGIN_DENIED ? NOTE_LIFE : LATER_LIFE;
    if (e)
        return OK;
    session->number++;
    session->used = login_now();
    session->fresh = tokens->fresh;
    session->due = tokens->due;
    if (tokens->claims)
        session->id_token = tokens->id_token;
    if (tokens->refresh_token.size)
        session->refresh_token = tokens->refresh_token;
    session->userinfo = tokens->userinfo;
    if (tokens->access_token.size)
        session->access_token = tokens->access_token;
    e = login_session_seal(renewal->login, session, &renewal->x.arena, &text);
    if (e)
        return e;
    *ret_note = arena_format(&renewal->x.arena, "=%.*s", SLICE_ARG(text));
    *ret_life = NOTE_LIFE;
    return ret_note->data ? OK : NO_MEMORY;
}

static void release(struct renewal *renewal)
{
    arena_release(&renewal->x.arena);
    free(renewal);
}

static void run(void *argument, const struct exchange *aside)
{
    struct renewal *renewal = argument;
    struct exchange *x = &renewal->x;
    struct login_tokens tokens = {.fresh = 0};
    struct slice note;
    int64_t life;
    x->pinned = aside->pinned;
    x->id_number = aside->id_number;
    enum status asked = ask(renewal, &tokens), e = word(renewal, asked, &tokens, &note, &life);
    login_count(renewal->login, x,
        asked == OK             ? LOGIN_RENEWED
        : asked == LOGIN_DENIED ? LOGIN_ENDED_BY_PROVIDER
                                : LOGIN_NOT_RENEWED);
    if (!e)
        (void)login_note_write(renewal->login, renewal->login->store, x, renewal->key, note, life);
    release(renewal);
}

/* --- the claim */

static enum status copy_session(struct renewal *renewal, const struct login_session *session)
{
    struct arena *arena = &renewal->x.arena;
    struct login_session *copy = &renewal->session;
    struct slice text;
    *copy = *session;
    enum status e = login_session_seal(renewal->login, session, arena, &text);
    return e ? e : login_session_open(renewal->login, arena, text, copy);
}

static enum status begin(const struct login *login, struct exchange *x, struct slice key,
    const struct login_session *session)
{
    struct renewal *renewal = calloc(1, sizeof *renewal);
    if (!renewal)
        return NO_MEMORY;
    arena_init(&renewal->x.arena, 0, 0);
    renewal->x.worker = x->worker;
    renewal->x.deadline = NEVER;
    renewal->login = login;
    renewal->provider = login_provider_of(login, session->provider);
    renewal->key = arena_copy(&renewal->x.arena, key);
    enum status e = renewal->key.data ? copy_session(renewal, session) : NO_MEMORY;
    if (!e)
        e = inquiry_begin_aside(&renewal->provider->remote.home, x, run, renewal);
    if (e)
        release(renewal);
    return e;
}

/* Waits until the note says more than "busy". */
static enum status await(
    const struct login *login, struct exchange *x, struct slice key, struct slice *note)
{
    instant end = clock_sooner(x->deadline, loop_now() + 2 * login->timeout + SECOND);
    int64_t pause = PAUSE_FIRST;
    while (slice_equal(*note, SLICE("busy"))) {
        if (loop_now() >= end) {
            *note = SLICE("later");
            return OK;
        }
        enum status e = fiber_sleep_until(loop_now() + pause);
        if (!e)
            e = login_note_read(login, login->store, x, key, note);
        if (e == NOT_FOUND) /* who was at it is gone */
            *note = SLICE("later");
        else if (e)
            return e;
        pause = pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST;
    }
    return OK;
}

/* What is known about the renewal of a session that is due. */
static enum status consult(const struct login *login, struct exchange *x,
    const struct login_session *session, struct slice *ret_note)
{
    struct slice key = key_of(login, &x->arena, session);
    if (!key.data)
        return NO_MEMORY;
    enum status e = login_note_claim(
        login, login->store, x, key, SLICE("busy"), 2 * login->timeout + EXTRA_LIFE, ret_note);
    bool is_claimed = e == OK;
    if (is_claimed) {
        *ret_note = SLICE("busy");
        e = begin(login, x, key, session);
    }
    if (e && e != CONFLICT)
        return e;
    return is_claimed || login_now() >= session->fresh ? await(login, x, key, ret_note) : OK;
}

enum status login_renew(
    const struct login *login, struct exchange *x, struct login_session **session, bool *ret_is_new)
{
    bool was_known;
    *ret_is_new = false;
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        const struct login_session *now = *session;
        struct slice note;
        if (!login->store || !now->refresh_token.size || !now->due || login_now() < now->due)
            return OK;
        enum status e = consult(login, x, now, &note);
        if (!e && slice_equal(note, SLICE("over")))
            return CREDENTIALS_MISSING;
        if (e || !slice_has_prefix(note, SLICE("=")))
            return e;
        e = login_session_take(login, x, slice_from(note, 1), &was_known, session);
        if (e)
            return e;
        *ret_is_new = true;
    }
    return OK;
}
