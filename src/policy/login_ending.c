#include "policy/login.h"

/* Sessions that were ended before their time. Since a session is in its browser alone, and copies
 * of it may be elsewhere, ending it means to note that it has ended, for as long as it could have
 * lasted: by what the provider calls it (`sid`), or its user (`sub`), or by our own name for it. A
 * note holds the time; sessions that began later are others. */

#define LOOK_EVERY 5 /* seconds between looks at a store that others write to, too */

static struct slice sid_of(const struct login_session *session)
{
    struct slice sid = json_text_of(session->claims, "sid");
    return sid.size ? sid : session->id;
}

enum status login_end(const struct login *login, const struct login_provider *provider,
    struct exchange *x, const char *kind, struct slice name)
{
    struct slice key = login_note_key(login, &x->arena, kind, provider->name, name),
                 when = arena_format(&x->arena, "%lld", (long long)login_now());
    if (!key.data || !when.data)
        return NO_MEMORY;
    enum status e = login_note_write(login, login->archive, x, key, when, login->lifetime);
    if (!e)
        login_news_tell(login, x, key, when);
    return e;
}

enum status login_end_session(
    const struct login *login, struct exchange *x, const struct login_session *session)
{
    return login_end(login, login_provider_of(login, session->provider), x, "sid", sid_of(session));
}

enum status login_prepare_ends(
    const struct login *login, struct arena *arena, struct login_session *session)
{
    session->ends[0] = login_note_key(login, arena, "sid", session->provider, sid_of(session));
    session->ends[1] = login_note_key(
        login, arena, "sub", session->provider, json_text_of(session->claims, "sub"));
    return session->ends[0].data && session->ends[1].data ? OK : NO_MEMORY;
}

static enum status look_for(const struct login *login, struct store *store, struct exchange *x,
    const struct login_session *session, struct slice key)
{
    uint64_t when = 0;
    struct slice value;
    enum status e = login_note_read(login, store, x, key, &value);
    if (e)
        return e == NOT_FOUND ? OK : e;
    return slice_to_u64(value, &when) && (int64_t)when >= session->begun ? CREDENTIALS_MISSING : OK;
}

static enum status look(const struct login *login, struct store *store, struct exchange *x,
    const struct login_session *session)
{
    enum status e = look_for(login, store, x, session, session->ends[0]);
    return e ? e : look_for(login, store, x, session, session->ends[1]);
}

/* This gateway's own notes, and what others have told it, cost nothing to look at. What it was not
 * told, and of its own life before this one, it is enough to find soon. */
enum status login_check_ended(
    const struct login *login, struct exchange *x, struct login_session *session)
{
    int64_t now = login_now();
    if (!login->memory)
        return OK;
    enum status e = look(login, login->memory, x, session);
    bool is_fresh = now - session->looked < LOOK_EVERY && session->looked > login_news_begun(login);
    if (e || login->archive == login->memory || is_fresh)
        return e;
    e = look(login, login->archive, x, session);
    if (!e)
        session->looked = now;
    return e;
}
