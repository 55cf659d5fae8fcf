/* WebSocket frames: however the bytes come in pieces, the same frames are read, and no piece is
 * larger than what there is. */
#include "base/must.h"
#include "base/slice.h"
#include "http/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct account {
    size_t used;        /* bytes of whole pieces */
    uint64_t heads;     /* of data frames */
    uint64_t controls;  /* control frames */
    uint64_t checksum;  /* of what they say */
    enum status status; /* with which it ended */
};

static void note(struct account *account, const struct websocket_piece *piece)
{
    account->used += piece->size;
    account->heads += piece->kind == WEBSOCKET_DATA_HEAD;
    if (piece->kind != WEBSOCKET_CONTROL)
        return;
    account->controls++;
    uint16_t code;
    struct slice payload = slice_of(piece->payload, piece->payload_size);
    if (piece->opcode == WEBSOCKET_CLOSE)
        account->checksum += websocket_read_close(payload, &code) ? 7 : code;
    for (size_t i = 0; i < payload.size; i++)
        account->checksum = account->checksum * 31 + (unsigned char)payload.data[i];
}

/* Reads with at most `most` bytes more at a time. */
static struct account read_all(struct slice bytes, unsigned flags, size_t most)
{
    struct websocket_reader reader;
    struct account account = {0};
    size_t have = 0;
    websocket_reader_init(&reader, flags & 1, flags & 2, flags & 4 ? 1000 : 0);
    for (;;) {
        struct websocket_piece piece;
        struct slice unread = slice_of(bytes.data + account.used, have - account.used);
        enum status e = websocket_read(&reader, unread, &piece);
        if (!e) {
            must(piece.size > 0 && piece.size <= unread.size);
            note(&account, &piece);
        } else if (e == INCOMPLETE && have < bytes.size) {
            have += most < bytes.size - have ? most : bytes.size - have;
        } else {
            must(e == INCOMPLETE || reader.code);
            account.status = e;
            return account;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = slice_of((const char *)data + 1, size - 1);
    struct account whole = read_all(bytes, data[0], SIZE_MAX);
    struct account single = read_all(bytes, data[0], 1);
    must(whole.used == single.used && whole.heads == single.heads);
    must(whole.controls == single.controls && whole.checksum == single.checksum);
    must(whole.status == single.status);
    return 0;
}
