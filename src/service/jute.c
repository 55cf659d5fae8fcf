#include "service/jute.h"

#include "base/clock.h"

#define PASSWORD_SIZE 16 /* of a session; ours is new */

/* --- writing */

static void add_number(struct text *text, uint64_t value, unsigned size)
{
    while (size-- > 0)
        text_add_char(text, (char)(value >> (8 * size)));
}

static void add_i32(struct text *text, int32_t value)
{
    add_number(text, (uint32_t)value, 4);
}

static void add_i64(struct text *text, int64_t value)
{
    add_number(text, (uint64_t)value, 8);
}

static void add_bytes(struct text *text, struct slice s)
{
    add_i32(text, (int32_t)s.size);
    text_add(text, s);
}

void jute_add_hello(struct text *text, int64_t session)
{
    static const char no_password[PASSWORD_SIZE];
    add_i32(text, 4 + 8 + 4 + 8 + 4 + PASSWORD_SIZE + 1);
    add_i32(text, 0); /* the protocol's version */
    add_i64(text, 0); /* the newest change that was seen */
    add_i32(text, (int32_t)(session / MILLISECOND));
    add_i64(text, 0); /* no session to go on with */
    add_bytes(text, slice_of(no_password, sizeof no_password));
    text_add_char(text, 0); /* not content with a server that only reads */
}

void jute_add_question(
    struct text *text, int32_t number, enum jute_operation operation, struct slice path)
{
    add_i32(text, (int32_t)(4 + 4 + 4 + path.size + 1));
    add_i32(text, number);
    add_i32(text, operation);
    add_bytes(text, path);
    text_add_char(text, 1);
}

static void add_bare(struct text *text, int32_t number, enum jute_operation operation)
{
    add_i32(text, 8);
    add_i32(text, number);
    add_i32(text, operation);
}

void jute_add_ping(struct text *text)
{
    add_bare(text, JUTE_OF_PING, JUTE_PING);
}

void jute_add_close(struct text *text, int32_t number)
{
    add_bare(text, number, JUTE_CLOSE);
}

void jute_add_auth(struct text *text, struct slice scheme, struct slice credentials)
{
    add_i32(text, (int32_t)(4 + 4 + 4 + 4 + scheme.size + 4 + credentials.size));
    add_i32(text, JUTE_OF_AUTH);
    add_i32(text, JUTE_AUTH);
    add_i32(text, 0);
    add_bytes(text, scheme);
    add_bytes(text, credentials);
}

/* --- reading: what is missing fails once for all that is read */

struct cursor {
    struct slice rest;
    bool failed;
};

static struct slice take(struct cursor *c, size_t size)
{
    struct slice s = slice_head(c->rest, size);
    if (s.size < size)
        c->failed = true;
    c->rest = slice_from(c->rest, size);
    return c->failed ? SLICE_NONE : s;
}

static uint64_t take_number(struct cursor *c, size_t size)
{
    struct slice s = take(c, size);
    uint64_t value = 0;
    for (size_t i = 0; i < s.size; i++)
        value = value << 8 | (unsigned char)s.data[i];
    return value;
}

static int32_t take_i32(struct cursor *c)
{
    return (int32_t)(uint32_t)take_number(c, 4);
}

/* A length of -1 is what Java's null becomes. */
static struct slice take_bytes(struct cursor *c)
{
    int32_t size = take_i32(c);
    if (size < -1)
        c->failed = true;
    return size <= 0 ? SLICE_NONE : take(c, (size_t)size);
}

enum status jute_read_length(const char bytes[JUTE_LENGTH_SIZE], size_t *ret_length)
{
    struct cursor c = {slice_of(bytes, JUTE_LENGTH_SIZE), false};
    uint64_t length = take_number(&c, JUTE_LENGTH_SIZE);
    if (length > JUTE_MESSAGE_MAX)
        return INVALID;
    *ret_length = (size_t)length;
    return OK;
}

enum status jute_read_hello(struct slice message, int64_t *ret_session)
{
    struct cursor c = {message, false};
    (void)take_i32(&c); /* the protocol's version */
    int32_t session = take_i32(&c);
    if (c.failed || session <= 0)
        return INVALID;
    *ret_session = session * MILLISECOND;
    return OK;
}

enum status jute_read_answer(struct slice message, struct jute_answer *ret_answer)
{
    struct cursor c = {message, false};
    struct jute_answer answer = {.number = take_i32(&c)};
    (void)take(&c, 8); /* the change that the server is at */
    answer.error = take_i32(&c);
    answer.body = c.rest;
    if (c.failed)
        return INVALID;
    *ret_answer = answer;
    return OK;
}

enum status jute_read_event(struct slice body, struct jute_event *ret_event)
{
    struct cursor c = {body, false};
    struct jute_event event = {.type = take_i32(&c)};
    (void)take_i32(&c); /* whether the server is connected to the others */
    event.path = take_bytes(&c);
    if (c.failed)
        return INVALID;
    *ret_event = event;
    return OK;
}

enum status jute_read_data(struct slice body, struct slice *ret_data)
{
    struct cursor c = {body, false};
    struct slice data = take_bytes(&c);
    if (c.failed)
        return INVALID;
    *ret_data = data;
    return OK;
}

enum status jute_read_children(struct slice body, size_t *ret_count, struct slice *ret_rest)
{
    struct cursor c = {body, false};
    int32_t count = take_i32(&c);
    if (c.failed || count < -1)
        return INVALID;
    *ret_count = count > 0 ? (size_t)count : 0;
    *ret_rest = c.rest;
    return OK;
}

enum status jute_read_child(struct slice *rest, struct slice *ret_name)
{
    struct cursor c = {*rest, false};
    struct slice name = take_bytes(&c);
    if (c.failed || !name.size)
        return INVALID;
    *ret_name = name;
    *rest = c.rest;
    return OK;
}
