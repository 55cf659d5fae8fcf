#include "store/durable_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

#define APPLICATION  0x57656972 /* "Weir", in the file's header */
#define VERSION      1          /* of the tables */
#define WAL_SIZE_MAX "67108864" /* bytes that the log keeps after it has been carried over */

enum statement { READ, WRITE, REMOVE, ENDED, SWEEP, BEGIN_READ, BEGIN_WRITE, COMMIT, ROLL_BACK };
#define STATEMENTS (ROLL_BACK + 1)

static const char *const statements[STATEMENTS] = {
    [READ] = "SELECT value, ends, lease FROM entry WHERE key = ?1 AND ends > ?2",
    [WRITE] = "INSERT INTO entry (key, value, ends, lease) VALUES (?1, ?2, ?3, ?4) ON CONFLICT "
              "(key) DO UPDATE SET value = ?2, ends = ?3, lease = ?4",
    [REMOVE] = "DELETE FROM entry WHERE key = ?1",
    [ENDED] = "SELECT 1 FROM entry WHERE ends <= ?1 LIMIT 1",
    [SWEEP] = "DELETE FROM entry WHERE rowid IN (SELECT rowid FROM entry WHERE ends <= ?1 LIMIT "
              "?2)",
    [BEGIN_READ] = "BEGIN",
    [BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLL_BACK] = "ROLLBACK"};

static const char tables[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS entry (key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, ends INTEGER "
    "NOT NULL, lease INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS entry_by_end ON entry (ends);"
    "PRAGMA application_id = 1466263922;"
    "PRAGMA user_version = 1;"
    "COMMIT";

struct durable_file {
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENTS];
    char trouble[DURABLE_TROUBLE_SIZE];
};

/* --- what goes wrong */

static const char *words_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOTADB:
        return "it is no SQLite database";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another process has locked it";
    case SQLITE_FULL:
        return "there is no room for more, on the disk or under `size-max`";
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "it may not be written";
    case SQLITE_CORRUPT:
        return "it is damaged";
    case SQLITE_CANTOPEN:
        return "it cannot be opened";
    default:
        return sqlite3_errstr(code);
    }
}

static enum status fail(struct durable_file *file, int code)
{
    int error = file->database ? sqlite3_system_errno(file->database) : 0;
    bool is_system = error && ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN);
    char room[64] = "";
    if (is_system)
        snprintf(room, sizeof room, " (error %d of the system)", error);
    snprintf(file->trouble, sizeof file->trouble, "%s%s", words_of(code), room);
    return (code & 0xff) == SQLITE_NOMEM ? NO_MEMORY : IO_ERROR;
}

const char *durable_file_trouble(const struct durable_file *file)
{
    return file->trouble;
}

/* --- opening */

static enum status execute(struct durable_file *file, const char *text)
{
    int code = sqlite3_exec(file->database, text, NULL, NULL, NULL);
    return code ? fail(file, code) : OK;
}

/* The whole number that a text's only row is. */
static enum status ask_number(struct durable_file *file, const char *text, int64_t *ret_number)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(file->database, text, -1, &statement, NULL);
    if (code)
        return fail(file, code);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? OK : fail(file, code);
}

static enum status refuse(struct durable_file *file, const char *why)
{
    snprintf(file->trouble, sizeof file->trouble, "%s", why);
    return INVALID;
}

/* A database of something else is not touched. */
static enum status check_owner(struct durable_file *file)
{
    int64_t application = 0, version = 0, things = 0;
    enum status e = ask_number(file, "PRAGMA application_id", &application);
    if (!e)
        e = ask_number(file, "PRAGMA user_version", &version);
    if (!e)
        e = ask_number(file, "SELECT count(*) FROM sqlite_schema", &things);
    if (e)
        return e;
    if (application != APPLICATION && (application || version || things))
        return refuse(file, "it is a database of another program");
    if (version > VERSION)
        return refuse(file, "a newer version of weir has written it");
    return OK;
}

static enum status limit_size(struct durable_file *file, int64_t size_max)
{
    int64_t page = 4096;
    char text[64];
    enum status e = ask_number(file, "PRAGMA page_size", &page);
    if (e)
        return e;
    snprintf(text, sizeof text, "PRAGMA max_page_count = %lld", (long long)(size_max / page));
    return execute(file, text);
}

static enum status prepare(struct durable_file *file)
{
    for (int i = 0; i < STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(file->database, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
            &file->statements[i], NULL);
        if (code)
            return fail(file, code);
    }
    return OK;
}

static enum status set_up(struct durable_file *file, const struct durable_file_options *options)
{
    int patience = (int)(options->patience / MILLISECOND);
    sqlite3_busy_timeout(file->database, patience);
    enum status e = check_owner(file);
    if (!e)
        e = execute(file, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store "
                          "= MEMORY; PRAGMA journal_size_limit = " WAL_SIZE_MAX);
    if (!e)
        e = limit_size(file, options->size_max);
    if (!e)
        e = execute(file, tables);
    return e ? e : prepare(file);
}

/* It may hold what users sent: nobody else may read it, nor the files beside it, which SQLite makes
 * with the same rights. */
static enum status make_private(struct durable_file *file, const char *path)
{
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor >= 0) {
        close(descriptor);
        return OK;
    }
    char room[64];
    snprintf(file->trouble, sizeof file->trouble, "it cannot be opened: %s",
        strerror_r(errno, room, sizeof room));
    return INVALID;
}

static enum status open_database(
    struct durable_file *file, const char *path, const struct durable_file_options *options)
{
    enum status e = make_private(file, path);
    if (e)
        return e;
    int code = sqlite3_open_v2(path, &file->database,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    return code ? fail(file, code) : set_up(file, options);
}

enum status durable_file_open(const char *path, const struct durable_file_options *options,
    char trouble[DURABLE_TROUBLE_SIZE], struct durable_file **ret_file)
{
    struct durable_file *file = calloc(1, sizeof *file);
    if (!file)
        return NO_MEMORY;
    enum status e = open_database(file, path, options);
    if (!e) {
        *ret_file = file;
        return OK;
    }
    memcpy(trouble, file->trouble, sizeof file->trouble);
    durable_file_close(file);
    return e == NO_MEMORY ? e : INVALID;
}

void durable_file_close(struct durable_file *file)
{
    if (!file)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(file->statements[i]);
    sqlite3_close(file->database);
    free(file);
}

/* --- steps */

/* Lets go of what it has bound and found. */
static void reset(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

/* One that finds nothing. */
static enum status run(struct durable_file *file, enum statement which)
{
    sqlite3_stmt *statement = file->statements[which];
    int code = sqlite3_step(statement);
    enum status e = code == SQLITE_DONE ? OK : fail(file, code);
    reset(statement);
    return e;
}

/* Not copied: it stays until the statement is reset. */
static void bind(sqlite3_stmt *statement, int at, struct slice bytes)
{
    sqlite3_bind_blob64(statement, at, bytes.data ? bytes.data : "", bytes.size, SQLITE_STATIC);
}

enum status durable_file_begin(struct durable_file *file, bool writes)
{
    return run(file, writes ? BEGIN_WRITE : BEGIN_READ);
}

enum status durable_file_commit(struct durable_file *file)
{
    reset(file->statements[READ]);
    return run(file, COMMIT);
}

/* Some failures have done so already. */
void durable_file_roll_back(struct durable_file *file)
{
    char trouble[DURABLE_TROUBLE_SIZE];
    memcpy(trouble, file->trouble, sizeof trouble);
    reset(file->statements[READ]);
    if (!sqlite3_get_autocommit(file->database))
        (void)run(file, ROLL_BACK);
    memcpy(file->trouble, trouble, sizeof trouble);
}

enum status durable_file_read(
    struct durable_file *file, struct slice key, int64_t now, struct durable_row *ret_row)
{
    sqlite3_stmt *statement = file->statements[READ];
    reset(statement);
    bind(statement, 1, key);
    sqlite3_bind_int64(statement, 2, now);
    int code = sqlite3_step(statement);
    *ret_row = (struct durable_row){0};
    if (code == SQLITE_DONE)
        return OK;
    if (code != SQLITE_ROW)
        return fail(file, code);
    const char *bytes = sqlite3_column_blob(statement, 0); /* NULL also for no bytes */
    ret_row->value = slice_of(bytes ? bytes : "", (size_t)sqlite3_column_bytes(statement, 0));
    ret_row->ends = sqlite3_column_int64(statement, 1);
    ret_row->is_lease = sqlite3_column_int(statement, 2) != 0;
    return OK;
}

enum status durable_file_write(
    struct durable_file *file, struct slice key, const struct durable_row *row)
{
    sqlite3_stmt *statement = file->statements[WRITE];
    reset(file->statements[READ]);
    bind(statement, 1, key);
    bind(statement, 2, row->value);
    sqlite3_bind_int64(statement, 3, row->ends);
    sqlite3_bind_int(statement, 4, row->is_lease);
    return run(file, WRITE);
}

enum status durable_file_remove(struct durable_file *file, struct slice key)
{
    reset(file->statements[READ]);
    bind(file->statements[REMOVE], 1, key);
    return run(file, REMOVE);
}

static bool has_ended(struct durable_file *file, int64_t now)
{
    sqlite3_stmt *statement = file->statements[ENDED];
    sqlite3_bind_int64(statement, 1, now);
    bool has = sqlite3_step(statement) == SQLITE_ROW;
    reset(statement);
    return has;
}

enum status durable_file_sweep(
    struct durable_file *file, int64_t now, int64_t most, int64_t *ret_swept)
{
    *ret_swept = 0;
    if (!has_ended(file, now))
        return OK;
    sqlite3_bind_int64(file->statements[SWEEP], 1, now);
    sqlite3_bind_int64(file->statements[SWEEP], 2, most);
    enum status e = run(file, SWEEP);
    if (!e)
        *ret_swept = sqlite3_changes64(file->database);
    return e;
}
