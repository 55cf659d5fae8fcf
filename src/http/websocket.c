#include "http/websocket.h"

#include "base/must.h"
#include "base/utf8.h"

enum {
    BIT_FINAL = 0x80,
    BIT_COMPRESSED = 0x40, /* RSV1 */
    BITS_RESERVED = 0x30,
    BIT_MASKED = 0x80,
    SIZE_16 = 126,
    SIZE_64 = 127,
};

struct head {
    bool is_final, is_compressed;
    enum websocket_opcode opcode;
    size_t size; /* of the head */
    uint64_t length;
    const char *mask; /* in the head, or NULL */
};

void websocket_reader_init(
    struct websocket_reader *reader, bool is_masked, bool may_compress, uint64_t message_max)
{
    *reader = (struct websocket_reader){
        .is_masked = is_masked, .may_compress = may_compress, .message_max = message_max};
}

static enum status refuse(struct websocket_reader *reader, uint16_t code)
{
    reader->code = code;
    return code == WEBSOCKET_TOO_LARGE ? TOO_LARGE : INVALID;
}

static uint64_t number_of(const char *bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | (unsigned char)bytes[i];
    return number;
}

/* The length in the fewest bytes that hold it, as RFC 6455 §5.2 demands. */
static enum status read_length(
    const struct websocket_reader *reader, struct slice bytes, struct head *head)
{
    unsigned short_length = (unsigned char)bytes.data[1] & ~(unsigned)BIT_MASKED;
    size_t extra = short_length == SIZE_64 ? 8 : short_length == SIZE_16 ? 2 : 0;
    head->size = 2 + extra + (reader->is_masked ? 4 : 0);
    head->length = short_length;
    if (bytes.size < 2 + extra)
        return INCOMPLETE;
    if (extra)
        head->length = number_of(bytes.data + 2, extra);
    uint64_t least = extra == 8 ? 65536 : extra == 2 ? SIZE_16 : 0;
    if (head->length < least || head->length > INT64_MAX)
        return INVALID;
    head->mask = reader->is_masked ? bytes.data + 2 + extra : NULL;
    return bytes.size < head->size ? INCOMPLETE : OK;
}

static bool is_known(unsigned opcode)
{
    return opcode <= WEBSOCKET_BINARY || (opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG);
}

/* Refuses at the first byte that is wrong, whether or not the rest has come. */
static enum status read_head(
    const struct websocket_reader *reader, struct slice bytes, struct head *head)
{
    if (bytes.size == 0)
        return INCOMPLETE;
    unsigned first = (unsigned char)bytes.data[0];
    bool is_control = first & 8;
    *head = (struct head){.is_final = first & BIT_FINAL,
        .is_compressed = first & BIT_COMPRESSED,
        .opcode = (enum websocket_opcode)(first & 15)};
    if ((first & BITS_RESERVED) || !is_known(first & 15))
        return INVALID;
    if (is_control && (!head->is_final || head->is_compressed))
        return INVALID;
    if (bytes.size < 2)
        return INCOMPLETE;
    unsigned second = (unsigned char)bytes.data[1];
    if ((bool)(second & BIT_MASKED) != reader->is_masked)
        return INVALID;
    if (is_control && (second & ~(unsigned)BIT_MASKED) > WEBSOCKET_CONTROL_MAX)
        return INVALID;
    return read_length(reader, bytes, head);
}

static enum status take_control(
    struct slice bytes, const struct head *head, struct websocket_piece *piece)
{
    if (bytes.size - head->size < head->length)
        return INCOMPLETE;
    piece->kind = WEBSOCKET_CONTROL;
    piece->opcode = head->opcode;
    piece->size = head->size + (size_t)head->length;
    piece->payload_size = (uint8_t)head->length;
    for (size_t i = 0; i < head->length; i++)
        piece->payload[i] =
            (char)(bytes.data[head->size + i] ^ (head->mask ? head->mask[i % 4] : 0));
    return OK;
}

/* A message is a first frame and continuations; only the first says that it is compressed (RFC 7692
 * §6). */
static bool is_in_order(const struct websocket_reader *reader, const struct head *head)
{
    bool continues = head->opcode == WEBSOCKET_CONTINUATION;
    if (head->is_compressed && (continues || !reader->may_compress))
        return false;
    return continues == reader->is_in_message;
}

static enum status take_data_head(
    struct websocket_reader *reader, const struct head *head, struct websocket_piece *piece)
{
    if (!is_in_order(reader, head))
        return refuse(reader, WEBSOCKET_PROTOCOL_ERROR);
    uint64_t before = head->opcode == WEBSOCKET_CONTINUATION ? reader->message_size : 0;
    if (reader->message_max && head->length > reader->message_max - before)
        return refuse(reader, WEBSOCKET_TOO_LARGE);
    reader->message_size = reader->message_max ? before + head->length : 0;
    reader->is_in_message = !head->is_final;
    reader->remaining = head->length;
    piece->kind = WEBSOCKET_DATA_HEAD;
    piece->opcode = head->opcode;
    piece->is_last = head->is_final;
    piece->size = head->size;
    return OK;
}

static enum status take_payload(
    struct websocket_reader *reader, struct slice bytes, struct websocket_piece *piece)
{
    if (bytes.size == 0)
        return INCOMPLETE;
    piece->kind = WEBSOCKET_PAYLOAD;
    piece->size = bytes.size < reader->remaining ? bytes.size : (size_t)reader->remaining;
    reader->remaining -= piece->size;
    return OK;
}

enum status websocket_read(
    struct websocket_reader *reader, struct slice bytes, struct websocket_piece *ret_piece)
{
    struct head head;
    if (reader->remaining)
        return take_payload(reader, bytes, ret_piece);
    enum status e = read_head(reader, bytes, &head);
    if (e == INVALID)
        return refuse(reader, WEBSOCKET_PROTOCOL_ERROR);
    if (e)
        return e;
    return head.opcode >= WEBSOCKET_CLOSE ? take_control(bytes, &head, ret_piece)
                                          : take_data_head(reader, &head, ret_piece);
}

/* 1004 to 1006 and 1015 never stand in a frame; the rest below 3000 is IANA's. */
static bool may_be_sent(uint64_t code)
{
    if (code >= 3000)
        return code <= 4999;
    return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

enum status websocket_read_close(struct slice payload, uint16_t *ret_code)
{
    *ret_code = WEBSOCKET_NO_CODE;
    if (payload.size == 0)
        return OK;
    *ret_code = WEBSOCKET_PROTOCOL_ERROR;
    if (payload.size < 2)
        return INVALID;
    uint64_t code = number_of(payload.data, 2);
    if (!may_be_sent(code))
        return INVALID;
    *ret_code = WEBSOCKET_BAD_DATA;
    if (!utf8_is_valid(slice_from(payload, 2)))
        return INVALID;
    *ret_code = (uint16_t)code;
    return OK;
}

size_t websocket_write(enum websocket_opcode opcode, struct slice payload,
    const unsigned char mask[4], char frame[WEBSOCKET_FRAME_ROOM])
{
    must(payload.size <= WEBSOCKET_CONTROL_MAX);
    size_t at = 2;
    frame[0] = (char)(BIT_FINAL | opcode);
    frame[1] = (char)(payload.size | (mask ? BIT_MASKED : 0));
    for (size_t i = 0; mask && i < 4; i++)
        frame[at++] = (char)mask[i];
    for (size_t i = 0; i < payload.size; i++)
        frame[at++] = (char)(payload.data[i] ^ (mask ? mask[i % 4] : 0));
    return at;
}

size_t websocket_write_close(uint16_t code, struct slice reason, const unsigned char mask[4],
    char frame[WEBSOCKET_FRAME_ROOM])
{
    char payload[WEBSOCKET_CONTROL_MAX] = {(char)(code >> 8), (char)code};
    reason = slice_head(reason, sizeof payload - 2);
    if (reason.size)
        memcpy(payload + 2, reason.data, reason.size);
    return websocket_write(WEBSOCKET_CLOSE, slice_of(payload, 2 + reason.size), mask, frame);
}
