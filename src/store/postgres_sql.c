/* The table, and what is asked of it. */
#include "store/postgres_state.h"

/* In these texts @ stands for the table, and : for a time from now in microseconds.
 *
 * ADD takes the place of what has ended, and of nothing else. What it gives back is NULL when it
 * did; what is there when not. When that came between, nothing is given: it is to be asked again.
 * SWAP, DROP: by a row that changes. LOCK brings in a row that has ended, if there is none, and so
 * locks a key that holds nothing; it gives what the key holds, and the time once it has the lock.
 */
static const struct {
    const char *name, *text;
} statements[POSTGRES_STATEMENTS] = {
    [POSTGRES_GET] = {"get", "SELECT value FROM @ WHERE key = $1::bytea AND ends > now()"},
    [POSTGRES_SET] = {"set",
        "INSERT INTO @ AS t (key, value, ends) VALUES ($1::bytea, $2::bytea, now() + :3) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value, ends = excluded.ends"},
    [POSTGRES_ADD] = {"add",
        "WITH added AS (INSERT INTO @ AS t (key, value, ends) "
        "VALUES ($1::bytea, $2::bytea, now() + :3) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value, ends = excluded.ends "
        "WHERE t.ends <= now() RETURNING 1) "
        "SELECT NULL::bytea FROM added UNION ALL "
        "SELECT value FROM @ WHERE key = $1::bytea AND ends > now() "
        "AND NOT EXISTS (SELECT FROM added)"},
    [POSTGRES_SWAP] = {"swap", "UPDATE @ SET value = $3::bytea, ends = now() + :4 "
                               "WHERE key = $1::bytea AND value = $2::bytea AND ends > now()"},
    [POSTGRES_DROP] = {"drop",
        "DELETE FROM @ WHERE key = $1::bytea AND value = $2::bytea AND ends > now()"},
    [POSTGRES_COUNT] = {"count",
        "INSERT INTO @ AS t (key, value, ends) "
        "VALUES ($1::bytea, convert_to($2::int8::text, 'UTF8'), now() + :3) "
        "ON CONFLICT (key) DO UPDATE SET value = CASE WHEN t.ends <= now() THEN excluded.value "
        "ELSE convert_to((convert_from(t.value, 'UTF8')::int8 + $2::int8)::text, 'UTF8') END, "
        "ends = CASE WHEN t.ends <= now() THEN excluded.ends ELSE t.ends END RETURNING value"},
    [POSTGRES_LOCK] = {"lock",
        "INSERT INTO @ AS t (key, value, ends) VALUES ($1::bytea, '', '-infinity') "
        "ON CONFLICT (key) DO UPDATE SET key = t.key "
        "RETURNING CASE WHEN ends > clock_timestamp() THEN value END, "
        "(extract(epoch FROM clock_timestamp()) * 1000000)::int8"},
    [POSTGRES_WRITE] = {"write",
        "UPDATE @ SET value = $2::bytea, ends = clock_timestamp() + :3 WHERE key = $1::bytea"},
    [POSTGRES_REMOVE] = {"remove", "DELETE FROM @ WHERE key = $1::bytea"},
    [POSTGRES_SWEEP] = {"sweep",
        "WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1::int8) AS mine) "
        "DELETE FROM @ WHERE key IN (SELECT key FROM @ WHERE ends <= now() "
        "AND (SELECT mine FROM turn) ORDER BY ends LIMIT 256 FOR UPDATE SKIP LOCKED)"},
};

static const char *write(struct postgres *postgres, const char *text)
{
    struct text sql = text_growing(0);
    for (const char *at = text; *at; at++) {
        if (*at == '@')
            text_add(&sql, postgres->table);
        else if (*at == ':' && at[1] >= '0' && at[1] <= '9')
            text_format(&sql, "$%c::int8 * interval '1 microsecond'", *++at);
        else
            text_add_char(&sql, *at);
    }
    const char *kept = sql.failed ? NULL : arena_text(&postgres->arena, text_slice(&sql));
    text_release(&sql);
    return kept;
}

bool postgres_write_statements(struct postgres *postgres)
{
    for (int i = 0; i < POSTGRES_STATEMENTS; i++)
        if (!(postgres->sql[i] = write(postgres, statements[i].text)))
            return false;
    return true;
}

const char *postgres_statement_name(enum postgres_statement statement)
{
    return statements[statement].name;
}

/* Of two gateways that begin at once one waits for the other: IF NOT EXISTS alone may fail then. */
const char *const *postgres_table_statements(const struct postgres *postgres, struct arena *arena)
{
    const char **all = arena_array(arena, 6, sizeof *all);
    if (!all)
        return NULL;
    struct slice lock =
        arena_format(arena, "SELECT pg_advisory_xact_lock(%lld)", (long long)postgres->lock);
    struct slice table = arena_format(arena,
        "CREATE TABLE IF NOT EXISTS %.*s "
        "(key bytea PRIMARY KEY, value bytea NOT NULL, ends timestamptz NOT NULL)",
        SLICE_ARG(postgres->table));
    struct slice index = arena_format(arena, "CREATE INDEX IF NOT EXISTS %.*s ON %.*s (ends)",
        SLICE_ARG(postgres->index), SLICE_ARG(postgres->table));
    all[0] = lock.data ? arena_text(arena, lock) : NULL;
    all[1] = table.data ? arena_text(arena, table) : NULL;
    all[2] = index.data ? arena_text(arena, index) : NULL;
    all[3] = NULL;
    return all[0] && all[1] && all[2] ? all : NULL;
}
