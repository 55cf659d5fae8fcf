/* WebSocket frames (RFC 6455 §5), read strictly and written. Whoever passes messages on reads
 * frames and not only bytes, so that limits mean messages, and what is sent in between (a ping, the
 * close) stands between two frames.
 *
 * The reader takes pieces off the front of what has arrived: the head of a data frame, then its
 * payload as it comes, however long; a control frame only when all of it is here. It keeps no
 * bytes, and nothing here waits. Payloads stay masked as they were: they can be passed on as they
 * are. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

/* Codes of the Close frame (RFC 6455 §7.4.1 and IANA's registry) that the gateway sends, or notes.
 */
enum websocket_code {
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_NO_CODE = 1005,  /* never sent: the Close frame had none */
    WEBSOCKET_ABNORMAL = 1006, /* never sent: the connection ended without a Close frame */
    WEBSOCKET_BAD_DATA = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_LARGE = 1009,
    WEBSOCKET_BAD_GATEWAY = 1014,
};

#define WEBSOCKET_CONTROL_MAX 125 /* bytes of a control frame's payload */
#define WEBSOCKET_HEAD_MAX    14
#define WEBSOCKET_FRAME_ROOM  (WEBSOCKET_HEAD_MAX + WEBSOCKET_CONTROL_MAX)

struct websocket_reader {
    bool is_masked;       /* the sender must mask, as clients do; else it must not */
    bool may_compress;    /* permessage-deflate was agreed on (RFC 7692): RSV1 may be set */
    uint64_t message_max; /* bytes of a message, as sent; 0: any number */

    /* The reader's own. */
    bool is_in_message;    /* its last frame has not begun yet */
    uint16_t code;         /* after a failure: what to close with */
    uint64_t remaining;    /* bytes of the data frame's payload that have not come yet */
    uint64_t message_size; /* bytes that the message's frames have announced so far */
};

struct websocket_piece {
    size_t size; /* bytes at the front that make the piece */
    enum websocket_piece_kind { WEBSOCKET_DATA_HEAD, WEBSOCKET_PAYLOAD, WEBSOCKET_CONTROL } kind;
    enum websocket_opcode opcode; /* of a head, and of a control frame */
    bool is_last;                 /* a head: of its message's last frame */
    uint8_t payload_size;         /* of a control frame; the next is its payload, unmasked */
    char payload[WEBSOCKET_CONTROL_MAX];
};

void websocket_reader_init(
    struct websocket_reader *reader, bool is_masked, bool may_compress, uint64_t message_max);

/* The next piece. INCOMPLETE: more bytes are needed. INVALID or TOO_LARGE: the sender broke the
 * rules, and `reader->code` says which to name in the Close frame. */
enum status websocket_read(
    struct websocket_reader *reader, struct slice bytes, struct websocket_piece *ret_piece);

/* True between two frames, where another may be put. */
static inline bool websocket_is_between(const struct websocket_reader *reader)
{
    return reader->remaining == 0;
}

/* What a Close frame's payload says: the code, WEBSOCKET_NO_CODE when there is none. INVALID with
 * the code to answer it with: half a code, one that must not be sent, a reason that is not UTF-8.
 */
enum status websocket_read_close(struct slice payload, uint16_t *ret_code);

/* Writes a frame with a payload of at most WEBSOCKET_CONTROL_MAX bytes; masked with the four bytes
 * of `mask`, or not when that is NULL. Returns its size. */
size_t websocket_write(enum websocket_opcode opcode, struct slice payload,
    const unsigned char mask[4], char frame[WEBSOCKET_FRAME_ROOM]);

/* The same of a Close frame with a code and a reason, which is cut off if it is too long. */
size_t websocket_write_close(uint16_t code, struct slice reason, const unsigned char mask[4],
    char frame[WEBSOCKET_FRAME_ROOM]);
