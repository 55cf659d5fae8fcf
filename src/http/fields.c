#include "http/fields.h"

#include "base/text.h"
#include "http/scan.h"

#define FIRST_CAPACITY         20
#define NAME_MAX_KNOWN         40
#define CONNECTION_OPTIONS_MAX 64

/* --- ids */

/* Letters of a word of text to lower case. Bytes 0x40 to 0x5F move up by 0x20; none of those but
 * letters becomes one that occurs in a known name, so comparing with one is exact. */
static inline uint64_t lower_word(uint64_t word)
{
    return word | (word & 0x4040404040404040) >> 1;
}

static inline uint64_t load8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint64_t load4(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint64_t load2(const char *p)
{
    uint16_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* All of a name of less than 8 bytes as one word: its first and its last bytes, which may be the
 * same ones. */
static inline uint64_t load_short(const char *p, size_t size)
{
    if (size >= 4)
        return load4(p) | load4(p + (size - 4)) << 32;
    return load2(p) | load2(p + (size - 2)) << 32;
}

/* With a constant `size` and a literal `name` this becomes one or more comparisons of words with
 * constants. */
static inline __attribute__((always_inline)) bool is_name(
    const char *p, const char *name, size_t size)
{
    if (size < 8)
        return lower_word(load_short(p, size)) == load_short(name, size);
    for (size_t i = 0; i + 8 <= size; i += 8)
        if (lower_word(load8(p + i)) != load8(name + i))
            return false;
    return lower_word(load8(p + (size - 8))) == load8(name + (size - 8));
}

#define FIELD(id, name) \
    _Static_assert(sizeof name - 1 >= 2 && sizeof name - 1 <= NAME_MAX_KNOWN, name);
#include "http/fields.def"
#undef FIELD

/* Only the comparisons with names of that size survive compilation. */
static inline __attribute__((always_inline)) enum field_id id_of_size(const char *p, size_t size)
{
#define FIELD(id, name)                                               \
    if (sizeof name - 1 == size && is_name(p, name, sizeof name - 1)) \
        return FIELD_##id;
#include "http/fields.def"
#undef FIELD
    return FIELD_OTHER;
}

#define SIZE(n) \
    case n:     \
        return id_of_size(name.data, n);
#define FOUR_SIZES(n) SIZE(n) SIZE(n + 1) SIZE(n + 2) SIZE(n + 3)

enum field_id field_id_of(struct slice name)
{
    switch (name.size) {
        SIZE(2)
        SIZE(3)
        FOUR_SIZES(4)
        FOUR_SIZES(8)
        FOUR_SIZES(12)
        FOUR_SIZES(16)
        FOUR_SIZES(20)
        FOUR_SIZES(24)
        FOUR_SIZES(28)
        FOUR_SIZES(32)
        FOUR_SIZES(36)
        SIZE(40)
    default:
        return FIELD_OTHER;
    }
}

struct slice field_name(enum field_id id)
{
    static const struct slice names[FIELD_COUNT] = {
        SLICE_INIT(""),
#define FIELD(id, name) SLICE_INIT(name),
#include "http/fields.def"
#undef FIELD
    };
    return names[id];
}

/* --- the list */

void fields_init(struct fields *fields, struct arena *arena)
{
    *fields = (struct fields){.arena = arena};
}

enum status fields_reserve(struct fields *fields)
{
    uint32_t capacity = fields->capacity ? fields->capacity * 2 : FIRST_CAPACITY;
    struct field *items = arena_alloc(fields->arena, capacity * sizeof *items);
    if (!items)
        return NO_MEMORY;
    if (fields->count)
        memcpy(items, fields->items, fields->count * sizeof *items);
    fields->items = items;
    fields->capacity = capacity;
    return OK;
}

/* An empty value still has data: without, it would look like none. */
static struct slice trimmed(struct slice value)
{
    value = slice_trim(value);
    return value.size ? value : SLICE("");
}

enum status fields_add(
    struct fields *fields, enum field_id id, struct slice name, struct slice value)
{
    value = trimmed(value);
    if (!field_name_is_valid(name) || !field_value_is_valid(value))
        return INVALID;
    return fields_add_checked(fields, id, name, value);
}

enum status fields_add_known(struct fields *fields, enum field_id id, struct slice value)
{
    value = trimmed(value);
    if (!field_value_is_valid(value))
        return INVALID;
    return fields_add_checked(fields, id, field_name(id), value);
}

enum status fields_append(struct fields *fields, const struct fields *more)
{
    enum status e = OK;
    for (uint32_t i = 0; !e && i < more->count; i++) {
        const struct field *field = &more->items[i];
        if (field->name.size)
            e = fields_add_checked(fields, field->id, field->name, field->value);
    }
    return e;
}

enum status fields_append_copies(struct fields *fields, const struct fields *more)
{
    for (uint32_t i = 0; i < more->count; i++) {
        const struct field *field = &more->items[i];
        if (!field->name.size)
            continue;
        struct slice name = arena_copy(fields->arena, field->name);
        struct slice value = arena_copy(fields->arena, field->value);
        if (!name.data || !value.data || fields_add_checked(fields, field->id, name, value))
            return NO_MEMORY;
    }
    return OK;
}

static bool is_named(const struct field *field, enum field_id id, struct slice name)
{
    return field->id == id && (id != FIELD_OTHER || slice_equal_nocase(field->name, name));
}

static void remove_all(struct fields *fields, enum field_id id, struct slice name)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (is_named(&fields->items[i], id, name))
            fields->items[i] = (struct field){.id = FIELD_OTHER};
    if (id != FIELD_OTHER)
        fields->present[id / 64] &= ~((uint64_t)1 << id % 64);
}

void fields_remove(struct fields *fields, struct slice name)
{
    enum field_id id = field_id_of(name);
    if (id != FIELD_OTHER)
        fields_remove_known(fields, id);
    else if (name.size)
        remove_all(fields, id, name);
}

void fields_remove_known(struct fields *fields, enum field_id id)
{
    if (fields_has(fields, id))
        remove_all(fields, id, SLICE_NONE);
}

enum status fields_set(struct fields *fields, struct slice name, struct slice value)
{
    fields_remove(fields, name);
    return fields_add(fields, field_id_of(name), name, value);
}

enum status fields_set_known(struct fields *fields, enum field_id id, struct slice value)
{
    fields_remove_known(fields, id);
    return fields_add_known(fields, id, value);
}

/* --- looking up */

static const struct field *next(
    const struct fields *fields, enum field_id id, struct slice name, const struct field *after)
{
    for (size_t i = after ? (size_t)(after - fields->items) + 1 : 0; i < fields->count; i++)
        if (is_named(&fields->items[i], id, name))
            return &fields->items[i];
    return NULL;
}

const struct field *fields_next(
    const struct fields *fields, enum field_id id, const struct field *after)
{
    return fields_has(fields, id) ? next(fields, id, SLICE_NONE, after) : NULL;
}

const struct field *fields_find(const struct fields *fields, enum field_id id)
{
    return fields_next(fields, id, NULL);
}

const struct field *fields_next_named(
    const struct fields *fields, struct slice name, const struct field *after)
{
    enum field_id id = field_id_of(name);
    if (id != FIELD_OTHER)
        return fields_next(fields, id, after);
    return name.size ? next(fields, id, name, after) : NULL;
}

struct slice fields_value(const struct fields *fields, enum field_id id)
{
    const struct field *field = fields_find(fields, id);
    return field ? field->value : SLICE_NONE;
}

struct slice fields_value_named(const struct fields *fields, struct slice name)
{
    const struct field *field = fields_next_named(fields, name, NULL);
    return field ? field->value : SLICE_NONE;
}

struct slice fields_combined(const struct fields *fields, struct slice name)
{
    const struct field *first = fields_next_named(fields, name, NULL);
    if (!first)
        return SLICE_NONE;
    if (!fields_next_named(fields, name, first))
        return first->value;
    size_t size = 0;
    for (const struct field *f = first; f; f = fields_next_named(fields, name, f))
        size += f->value.size + 2;
    char *joined = arena_bytes(fields->arena, size);
    if (!joined)
        return SLICE_NONE;
    struct text text = text_fixed(joined, size);
    for (const struct field *f = first; f; f = fields_next_named(fields, name, f)) {
        if (f != first)
            text_add_literal(&text, ", ");
        text_add(&text, f->value);
    }
    return text_slice(&text);
}

/* --- list fields */

/* Where the member at the front ends: at the first comma outside quoted strings, or at the end. */
static size_t member_size(struct slice s)
{
    bool quoted = false;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '"')
            quoted = !quoted;
        else if (s.data[i] == '\\' && quoted)
            i++;
        else if (s.data[i] == ',' && !quoted)
            return i;
    }
    return s.size;
}

bool field_list_next(struct slice *rest, struct slice *ret_member)
{
    while (rest->size) {
        size_t size = member_size(*rest);
        struct slice member = slice_trim(slice_head(*rest, size));
        *rest = slice_from(*rest, size + 1);
        if (member.size) {
            *ret_member = member;
            return true;
        }
    }
    return false;
}

bool fields_list_has(const struct fields *fields, enum field_id id, struct slice token)
{
    for (const struct field *f = fields_find(fields, id); f; f = fields_next(fields, id, f)) {
        struct slice rest = f->value, member;
        while (field_list_next(&rest, &member))
            if (slice_equal_nocase(member, token))
                return true;
    }
    return false;
}

/* --- validity */

bool field_name_is_valid(struct slice name)
{
    return name.size && scan_token(name.data, name.data + name.size) == name.data + name.size;
}

static bool is_alphanumeric(char c)
{
    char l = c | 0x20;
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9');
}

static bool is_disguise(struct slice name, struct slice real)
{
    if (name.size != real.size)
        return false;
    for (size_t i = 0; i < real.size; i++)
        if (real.data[i] == '-' ? is_alphanumeric(name.data[i])
                                : (name.data[i] | 0x20) != real.data[i])
            return false;
    return true;
}

bool field_name_is_disguise(struct slice name)
{
    return is_disguise(name, SLICE("content-length")) ||
           is_disguise(name, SLICE("transfer-encoding"));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool field_value_is_valid(struct slice value)
{
    if (value.size == 0)
        return true;
    const char *end = value.data + value.size;
    return !is_blank(value.data[0]) && !is_blank(end[-1]) && scan_value(value.data, end) == end;
}

/* --- one connection only */

/* Fields that end at each connection even when Connection does not name them; TE is looked at
 * apart. What a client says to a proxy to be let through is for none that stands behind it. */
static const enum field_id hop_by_hop[] = {FIELD_CONNECTION, FIELD_PROXY_CONNECTION,
    FIELD_PROXY_AUTHORIZATION, FIELD_KEEP_ALIVE, FIELD_TRANSFER_ENCODING, FIELD_UPGRADE};

/* Host and Content-Length frame and direct the message; no peer can have them taken off. */
static bool is_option_removable(enum field_id id)
{
    return id != FIELD_HOST && id != FIELD_CONTENT_LENGTH && id != FIELD_CONNECTION &&
           id != FIELD_TE;
}

static enum status remove_options(struct fields *fields)
{
    unsigned options = 0;
    const struct field *f = NULL;
    while ((f = fields_next(fields, FIELD_CONNECTION, f))) {
        struct slice rest = f->value, option;
        while (field_list_next(&rest, &option)) {
            if (++options > CONNECTION_OPTIONS_MAX)
                return BAD_FIELD;
            if (is_option_removable(field_id_of(option)))
                fields_remove(fields, option);
        }
    }
    return OK;
}

enum status fields_strip_hop_by_hop(struct fields *fields)
{
    enum status e = remove_options(fields);
    if (e)
        return e;
    for (size_t i = 0; i < sizeof hop_by_hop / sizeof *hop_by_hop; i++)
        fields_remove_known(fields, hop_by_hop[i]);
    if (!fields_has(fields, FIELD_TE))
        return OK;
    if (fields_list_has(fields, FIELD_TE, SLICE("trailers")))
        return fields_set_known(fields, FIELD_TE, SLICE("trailers"));
    fields_remove_known(fields, FIELD_TE);
    return OK;
}
