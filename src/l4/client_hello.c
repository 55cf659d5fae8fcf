#include "l4/client_hello.h"

#define RECORDS_MAX    64 /* that one hello is spread over */
#define EXTENSIONS_MAX 128

enum {
    RECORD_HEAD = 5,
    RECORD_HANDSHAKE = 22,
    RECORD_MAX = 16 * 1024,
    MESSAGE_HEAD = 4,
    MESSAGE_CLIENT_HELLO = 1,
    RANDOM_SIZE = 32,
    SESSION_ID_MAX = 32,
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_PROTOCOLS = 16,
    NAME_HOST = 0,
};

/* The message's bytes, wherever the records' heads are. */
struct cursor {
    struct slice rest; /* behind the record at which it stands */
    struct slice here; /* of that record */
    unsigned records;
    size_t left; /* of the structure that is being read */
};

static size_t number(const unsigned char *at, int size)
{
    size_t value = 0;
    while (size-- > 0)
        value = value << 8 | *at++;
    return value;
}

/* The next record, or as much of it as is here. */
static enum status next_record(struct cursor *cursor)
{
    const unsigned char *head = (const unsigned char *)cursor->rest.data;
    if (cursor->rest.size == 0)
        return INCOMPLETE;
    if (head[0] != RECORD_HANDSHAKE || (cursor->rest.size > 1 && head[1] != 3))
        return INVALID;
    if (cursor->rest.size < RECORD_HEAD)
        return INCOMPLETE;
    size_t size = number(head + 3, 2);
    if (size == 0 || size > RECORD_MAX || ++cursor->records > RECORDS_MAX)
        return INVALID;
    cursor->here = slice_head(slice_from(cursor->rest, RECORD_HEAD), size);
    cursor->rest = slice_from(cursor->rest, RECORD_HEAD + size);
    return OK;
}

/* The next `size` bytes; copied when `out` is not NULL. */
static enum status take(struct cursor *cursor, size_t size, unsigned char *out)
{
    if (size > cursor->left)
        return INVALID;
    cursor->left -= size;
    while (size > 0) {
        enum status e = cursor->here.size ? OK : next_record(cursor);
        if (e)
            return e;
        struct slice part = slice_head(cursor->here, size);
        if (part.size == 0)
            return INCOMPLETE;
        if (out) {
            memcpy(out, part.data, part.size);
            out += part.size;
        }
        size -= part.size;
        cursor->here = slice_from(cursor->here, part.size);
    }
    return OK;
}

static enum status take_number(struct cursor *cursor, int size, size_t *ret_value)
{
    unsigned char bytes[4];
    enum status e = take(cursor, (size_t)size, bytes);
    if (!e)
        *ret_value = number(bytes, size);
    return e;
}

/* A structure with its size in front that nobody here wants to see. */
static enum status skip(struct cursor *cursor, int size_of_size, size_t least, size_t most)
{
    size_t size;
    enum status e = take_number(cursor, size_of_size, &size);
    if (!e && (size < least || size > most))
        e = INVALID;
    return e ? e : take(cursor, size, NULL);
}

/* --- the two extensions */

/* Letters, digits and what else is seen in host names: nothing that could confuse a log. */
static bool is_of_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static bool set_name(struct client_hello *hello, size_t size)
{
    if (size > 0 && hello->name[size - 1] == '.')
        size--;
    for (size_t i = 0; i < size; i++) {
        char *c = &hello->name[i];
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
        if (!is_of_name(*c))
            return false;
    }
    hello->name_size = size;
    return size > 0;
}

/* A list that may have one entry a kind; host names are the only kind there is. */
static enum status read_names(struct cursor *cursor, struct client_hello *hello)
{
    size_t list, kind, size;
    enum status e = take_number(cursor, 2, &list);
    if (!e && (list != cursor->left || hello->name_size))
        e = INVALID;
    if (!e)
        e = take_number(cursor, 1, &kind);
    if (!e)
        e = take_number(cursor, 2, &size);
    if (e)
        return e;
    if (kind != NAME_HOST || size != cursor->left || size > sizeof hello->name)
        return INVALID;
    e = take(cursor, size, (unsigned char *)hello->name);
    if (e)
        return e;
    return set_name(hello, size) ? OK : INVALID;
}

/* Each protocol has 1 to 255 bytes. More than fit are cut: the client likes the first ones best. */
static enum status read_protocols(struct cursor *cursor, struct client_hello *hello)
{
    size_t list, size;
    enum status e = take_number(cursor, 2, &list);
    if (!e && (list != cursor->left || hello->protocols_size))
        e = INVALID;
    while (!e && cursor->left) {
        e = take_number(cursor, 1, &size);
        if (!e && size == 0)
            e = INVALID;
        if (e)
            break;
        char *at = hello->protocols + hello->protocols_size;
        bool fits = size < sizeof hello->protocols - hello->protocols_size;
        e = take(cursor, size, fits ? (unsigned char *)at + 1 : NULL);
        if (e || !fits)
            continue;
        *at = (char)size;
        hello->protocols_size += 1 + size;
    }
    return e;
}

static enum status read_extension(struct cursor *cursor, struct client_hello *hello)
{
    size_t kind, size;
    enum status e = take_number(cursor, 2, &kind);
    if (!e)
        e = take_number(cursor, 2, &size);
    if (!e && size > cursor->left)
        e = INVALID;
    if (e)
        return e;
    size_t behind = cursor->left - size;
    cursor->left = size;
    if (kind == EXTENSION_SERVER_NAME)
        e = read_names(cursor, hello);
    else if (kind == EXTENSION_PROTOCOLS)
        e = read_protocols(cursor, hello);
    if (!e)
        e = take(cursor, cursor->left, NULL);
    cursor->left = behind;
    return e;
}

static enum status read_extensions(struct cursor *cursor, struct client_hello *hello)
{
    size_t size;
    if (cursor->left == 0)
        return OK; /* a hello of old */
    enum status e = take_number(cursor, 2, &size);
    if (!e && size != cursor->left)
        e = INVALID;
    for (int i = 0; !e && cursor->left; i++)
        e = i < EXTENSIONS_MAX ? read_extension(cursor, hello) : INVALID;
    return e;
}

/* --- the whole */

static enum status read_body(struct cursor *cursor, struct client_hello *hello)
{
    size_t version;
    enum status e = take_number(cursor, 2, &version);
    if (!e && version >> 8 != 3)
        e = INVALID;
    if (!e)
        e = take(cursor, RANDOM_SIZE, NULL);
    if (!e)
        e = skip(cursor, 1, 0, SESSION_ID_MAX);
    if (!e)
        e = skip(cursor, 2, 2, UINT16_MAX - 1); /* cipher suites */
    if (!e)
        e = skip(cursor, 1, 1, UINT8_MAX); /* compression methods */
    return e ? e : read_extensions(cursor, hello);
}

enum status client_hello_parse(struct slice bytes, struct client_hello *ret_hello)
{
    struct cursor cursor = {.rest = bytes, .left = MESSAGE_HEAD};
    size_t kind, size;
    enum status e = take_number(&cursor, 1, &kind);
    if (!e && kind != MESSAGE_CLIENT_HELLO)
        e = INVALID;
    if (!e)
        e = take_number(&cursor, 3, &size);
    if (!e && size > CLIENT_HELLO_MAX)
        e = TOO_LARGE;
    if (e)
        return e;
    struct cursor whole = cursor;
    cursor.left = whole.left = size;
    e = take(&whole, size, NULL); /* so that it is read once, when all of it is here */
    if (e == INCOMPLETE && bytes.size >= CLIENT_HELLO_BYTES_MAX)
        e = TOO_LARGE;
    if (e)
        return e;
    struct client_hello hello;
    hello.name_size = hello.protocols_size = 0;
    e = read_body(&cursor, &hello);
    if (!e)
        *ret_hello = hello;
    return e;
}

struct slice client_hello_protocols(const struct client_hello *hello)
{
    return slice_of(hello->protocols, hello->protocols_size);
}

bool client_hello_next_protocol(struct slice *rest, struct slice *ret_protocol)
{
    if (rest->size == 0)
        return false;
    size_t size = (unsigned char)rest->data[0];
    *ret_protocol = slice_of(rest->data + 1, size);
    *rest = slice_from(*rest, 1 + size);
    return true;
}

bool client_hello_offers(const struct client_hello *hello, struct slice protocol)
{
    struct slice rest = client_hello_protocols(hello), one;
    while (client_hello_next_protocol(&rest, &one))
        if (slice_equal(one, protocol))
            return true;
    return false;
}
