/* Header and trailer fields of one message, in the order in which they came.
 *
 * Names and values are slices of the message's arena (or of static text); the list itself grows in
 * the arena. A removed field stays in its place with an empty name and is skipped: indices stay
 * true while one walks. Names keep the spelling that the peer used; comparing ignores case. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

enum field_id {
    FIELD_OTHER,
#define FIELD(id, name) FIELD_##id,
#include "http/fields.def"
#undef FIELD
    FIELD_COUNT
};

struct field {
    struct slice name; /* empty: removed */
    struct slice value;
    enum field_id id;
};

struct fields {
    struct arena *arena; /* borrowed: the exchange's */
    struct field *items; /* in the arena */
    uint32_t count, capacity;
    uint64_t present[(FIELD_COUNT + 63) /
                     64]; /* a bit for each known id that (perhaps) occurs: a fast "no" */
};

void fields_init(struct fields *fields, struct arena *arena);

/* The id of a name, without regard to case. About 5 ns. */
enum field_id field_id_of(struct slice name);

/* The lower-case name of a known id. */
struct slice field_name(enum field_id id);

/* Appends; NO_MEMORY; INVALID (and nothing is appended) when the name is no token or the value has
 * control bytes, so that nobody can smuggle a line break into a head through a value that he had a
 * say in. Blanks at the value's ends are cut off. Name and value must live as long as the arena. */
enum status fields_add(
    struct fields *fields, enum field_id id, struct slice name, struct slice value);

/* Appends a known field under its usual name; NO_MEMORY, INVALID. */
enum status fields_add_known(struct fields *fields, enum field_id id, struct slice value);

/* Removes every field of that name, then appends; NO_MEMORY, INVALID. */
enum status fields_set(struct fields *fields, struct slice name, struct slice value);
enum status fields_set_known(struct fields *fields, enum field_id id, struct slice value);

/* Appends all of `more` as they are; their bytes are borrowed, so they must live as long.
 * NO_MEMORY.
 */
enum status fields_append(struct fields *fields, const struct fields *more);

/* The same with copies of the bytes, which need not live on. NO_MEMORY; some may be there then. */
enum status fields_append_copies(struct fields *fields, const struct fields *more);

void fields_remove(struct fields *fields, struct slice name);
void fields_remove_known(struct fields *fields, enum field_id id);

static inline bool fields_has(const struct fields *fields, enum field_id id)
{
    return fields->present[id / 64] >> (id % 64) & 1;
}

/* The first field with that id, or NULL. */
const struct field *fields_find(const struct fields *fields, enum field_id id);

/* The next with the same id after `after` (NULL: the first). */
const struct field *fields_next(
    const struct fields *fields, enum field_id id, const struct field *after);

/* By name, known or not; the same walk. */
const struct field *fields_next_named(
    const struct fields *fields, struct slice name, const struct field *after);

/* The value of the first one, or the slice with null data when there is none. */
struct slice fields_value(const struct fields *fields, enum field_id id);
struct slice fields_value_named(const struct fields *fields, struct slice name);

/* All values of a list field as one, joined by ", " in the arena (RFC 9110 §5.3); a single one is
 * not copied. Null data when there is none (or no memory). */
struct slice fields_combined(const struct fields *fields, struct slice name);

/* Takes the next non-empty member off a comma-separated list (quoted strings respected, OWS
 * trimmed). */
bool field_list_next(struct slice *rest, struct slice *ret_member);

/* True when a comma-separated list field has that token, without regard to case. */
bool fields_list_has(const struct fields *fields, enum field_id id, struct slice token);

/* RFC 9110 §5.6.2 tchar only, not empty. */
bool field_name_is_valid(struct slice name);

/* "Content_Length" and the like: services that make variables of fields would take it for the real
 * one, so that the message's length would be in doubt. `name` is of no known field. */
bool field_name_is_disguise(struct slice name);

/* RFC 9110 §5.5: no control bytes but HTAB, no blanks at the ends. */
bool field_value_is_valid(struct slice value);

/* Removes Connection, every field that it names (but not Host and Content-Length), and the other
 * fields that mean one connection only (RFC 9110 §7.6.1); of TE it keeps "trailers". To be called
 * before the gateway adds fields of its own, so that a peer cannot name these. BAD_FIELD when
 * Connection names more than 64; NO_MEMORY. */
enum status fields_strip_hop_by_hop(struct fields *fields);

/* --- for readers, which have looked at every byte already */

/* Makes room for one more; NO_MEMORY. */
enum status fields_reserve(struct fields *fields);

/* Appends without looking at the bytes: for values that were read by the parser or made here;
 * NO_MEMORY. */
static inline enum status fields_add_checked(
    struct fields *fields, enum field_id id, struct slice name, struct slice value)
{
    if (fields->count == fields->capacity && fields_reserve(fields))
        return NO_MEMORY;
    fields->items[fields->count++] = (struct field){name, value, id};
    if (id != FIELD_OTHER)
        fields->present[id / 64] |= (uint64_t)1 << id % 64;
    return OK;
}

static inline enum status fields_add_made(
    struct fields *fields, enum field_id id, struct slice value)
{
    return fields_add_checked(fields, id, field_name(id), value);
}

/* Removes every field of that id first. */
static inline enum status fields_set_made(
    struct fields *fields, enum field_id id, struct slice value)
{
    if (fields_has(fields, id))
        fields_remove_known(fields, id);
    return fields_add_made(fields, id, value);
}
