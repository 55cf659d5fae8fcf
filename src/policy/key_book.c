#include "policy/key_book.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/octets.h"
#include "base/table.h"

struct key_book {
    _Atomic size_t users;
    struct arena arena;     /* consumers, claims, and the text that these borrow from */
    struct table consumers; /* by digest */
};

/* --- reading a line */

/* The digest goes out, and the name becomes `sub`. */
static void make_claims(struct json_value *object)
{
    struct json_value **place = &object->first;
    object->sorted = NULL; /* by names that change; it is small */
    while (*place) {
        struct json_value *member = *place;
        if (slice_equal(member->key, SLICE("name")))
            member->key = SLICE("sub");
        if (slice_equal(member->key, SLICE("sha256"))) {
            *place = member->next;
            object->count--;
        } else {
            place = &member->next;
        }
    }
}

/* NULL, or what is wrong. */
static const char *read_consumer(struct json_value *object, struct consumer *consumer)
{
    struct slice name, digest;
    const struct json_value *exp = json_get(object, SLICE("exp"));
    if (object->type != JSON_OBJECT)
        return "is no object";
    if (object->count > KEY_MEMBERS_MAX)
        return "has too many members";
    if (!json_get_text(object, SLICE("name"), &name) || !name.size || name.size > KEY_NAME_MAX)
        return "lacks a \"name\"";
    if (json_get(object, SLICE("sub")))
        return "has a \"sub\", which is what \"name\" becomes";
    if (!json_get_text(object, SLICE("sha256"), &digest) ||
        !octets_read_hex(digest, consumer->digest, KEY_DIGEST_SIZE))
        return "lacks a \"sha256\" of 64 hexadecimal digits";
    consumer->until = INT64_MAX;
    if (exp && !json_get_i64(object, SLICE("exp"), &consumer->until))
        return "has an \"exp\" that is no number of seconds since 1970";
    make_claims(object);
    consumer->claims = object;
    return NULL;
}

static enum status add_line(struct key_book *book, struct slice line, const char **ret_why)
{
    const struct json_limits limits = {.size = KEY_LINE_MAX, .depth = 8};
    struct json_value *object;
    struct json_error error;
    struct consumer *consumer = arena_new(&book->arena, struct consumer);
    enum status e = consumer ? json_parse(&book->arena, line, &limits, &object, &error) : NO_MEMORY;
    if (e == NO_MEMORY)
        return e;
    *ret_why = e ? "is not JSON" : read_consumer(object, consumer);
    if (*ret_why)
        return INVALID;
    struct slice digest = slice_of((const char *)consumer->digest, KEY_DIGEST_SIZE);
    e = table_put(&book->consumers, digest, consumer);
    *ret_why = e == EXISTS ? "has a key that an earlier line has" : "is one too many";
    return e == EXISTS || e == FULL ? INVALID : e;
}

static struct slice strip(struct slice line)
{
    line = slice_trim(line);
    if (slice_has_suffix(line, SLICE("\r")))
        line = slice_trim(slice_head(line, line.size - 1));
    return line;
}

static enum status add_lines(struct key_book *book, struct slice text, struct text *trouble)
{
    struct slice line;
    for (size_t number = 1; slice_split(&text, '\n', &line); number++) {
        const char *why = "";
        line = strip(line);
        if (!line.size || *line.data == '#')
            continue;
        enum status e = add_line(book, line, &why);
        if (e == INVALID)
            text_format(trouble, "line %zu %s", number, why);
        if (e)
            return e;
    }
    return OK;
}

/* --- the book */

enum status key_book_read(struct slice text, struct text *trouble, struct key_book **ret_book)
{
    struct key_book *book = calloc(1, sizeof *book);
    if (!book)
        return NO_MEMORY;
    atomic_init(&book->users, 1);
    arena_init(&book->arena, (size_t)64 << 10, 0);
    table_init(&book->consumers, KEY_BOOK_KEYS_MAX);
    struct slice copy = arena_copy(&book->arena, text);
    enum status e = copy.data ? add_lines(book, copy, trouble) : NO_MEMORY;
    if (e)
        key_book_unref(book);
    else
        *ret_book = book;
    return e;
}

void key_book_ref(struct key_book *book)
{
    atomic_fetch_add_explicit(&book->users, 1, memory_order_relaxed);
}

void key_book_unref(void *book)
{
    struct key_book *own = book;
    if (!own || atomic_fetch_sub_explicit(&own->users, 1, memory_order_acq_rel) > 1)
        return;
    table_release(&own->consumers);
    arena_release(&own->arena);
    free(own);
}

const struct consumer *key_book_find(
    const struct key_book *book, const unsigned char digest[KEY_DIGEST_SIZE])
{
    return table_get(&book->consumers, slice_of((const char *)digest, KEY_DIGEST_SIZE));
}

size_t key_book_count(const struct key_book *book)
{
    return book->consumers.count;
}

static enum status make(struct slice text, struct text *trouble, void **ret_thing)
{
    struct key_book *book;
    enum status e = key_book_read(text, trouble, &book);
    if (!e)
        *ret_thing = book;
    return e;
}

static size_t count(const void *thing)
{
    return key_book_count(thing);
}

const struct watched_kind key_book_kind = {.name = "API keys",
    .size_max = KEY_BOOK_SIZE_MAX,
    .make = make,
    .free = key_book_unref,
    .count = count};
