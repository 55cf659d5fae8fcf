#include "http/websocket_relay.h"

#include "base/random.h"
#include "run/loop.h"

#define LINGER     (1 * SECOND)  /* of silence until a relay is parked */
#define CLOSE_WAIT (5 * SECOND)  /* for the other side's Close frame */
#define WRITE_WAIT (60 * SECOND) /* for a receiver that takes nothing */
#define TAKE_TURNS MILLISECOND

const struct websocket_limits websocket_usual_limits = {
    .message_max = (int64_t)16 << 20, .ping = 30 * SECOND};

static struct websocket_side *other_of(struct websocket_side *side)
{
    struct websocket_side *sides = side->relay->sides;
    return side == &sides[WEBSOCKET_CLIENT] ? &sides[WEBSOCKET_SERVICE] : &sides[WEBSOCKET_CLIENT];
}

static bool is_client(const struct websocket_side *side)
{
    return side == &side->relay->sides[WEBSOCKET_CLIENT];
}

static void init_side(struct websocket_relay *relay, struct wire *wire, int which, bool compresses)
{
    relay->sides[which] =
        (struct websocket_side){.relay = relay, .wire = wire, .heard = loop_now()};
    websocket_reader_init(&relay->sides[which].reader, which == WEBSOCKET_CLIENT, compresses,
        (uint64_t)relay->limits->message_max);
}

void websocket_relay_init(struct websocket_relay *relay, struct wire *client, struct wire *service,
    bool compresses, const struct websocket_limits *limits)
{
    *relay = (struct websocket_relay){.limits = limits,
        .code = WEBSOCKET_ABNORMAL,
        .moved = loop_now(),
        .spoke = loop_now(),
        .word = random_next(loop_random())};
    scope_init(&relay->scope);
    init_side(relay, client, WEBSOCKET_CLIENT, compresses);
    init_side(relay, service, WEBSOCKET_SERVICE, compresses);
}

/* --- ending */

/* Begins to end: codes of 0 tell that side nothing. */
static void begin_close(
    struct websocket_relay *relay, enum status reason, uint16_t to_client, uint16_t to_service)
{
    if (relay->is_closing)
        return;
    relay->is_closing = true;
    relay->closing_until = loop_now() + CLOSE_WAIT;
    relay->reason = reason;
    relay->sides[WEBSOCKET_CLIENT].close_with = to_client;
    relay->sides[WEBSOCKET_SERVICE].close_with = to_service;
}

/* A side that is gone without a word, or does not take what is for it. */
static void lose(struct websocket_side *side)
{
    side->is_lost = side->was_closed = true; /* there is nobody to tell */
    if (is_client(side))
        begin_close(side->relay, CLIENT_CLOSED, 0, WEBSOCKET_GOING_AWAY);
    else
        begin_close(side->relay, UPSTREAM_CLOSED, WEBSOCKET_BAD_GATEWAY, 0);
}

/* A side that breaks the rules: told with the code that says which; the other learns that it ends.
 */
static void expel(struct websocket_side *side, enum status e, uint16_t code)
{
    struct websocket_relay *relay = side->relay;
    side->is_ignored = true;
    if (relay->is_closing)
        return;
    relay->code = code;
    if (e == TOO_LARGE)
        e = MESSAGE_TOO_LARGE;
    else if (e == INVALID)
        e = is_client(side) ? WEBSOCKET_PROTOCOL : UPSTREAM_PROTOCOL;
    if (is_client(side))
        begin_close(relay, e, code, WEBSOCKET_GOING_AWAY);
    else
        begin_close(relay, e, WEBSOCKET_BAD_GATEWAY, code);
}

/* Nothing more will come from a side. */
static void leave(struct websocket_side *side)
{
    struct websocket_relay *relay = side->relay;
    struct websocket_side *other = other_of(side);
    side->has_left = true;
    if (side->closed_with && !relay->is_closing) {
        relay->code = side->closed_with;
        begin_close(relay, OK, 0, 0);
    } else if (!relay->is_closing) {
        lose(side);
    } else if (!other->was_closed && !other->close_with) {
        other->close_with = relay->code < 1004 || relay->code > 1006 ? relay->code : 1000;
    }
}

/* --- writing: whole frames of the gateway's own between those that pass */

/* As long as each WRITE_WAIT lets some bytes through. */
static enum status write_all(struct websocket_side *to, struct slice bytes)
{
    for (;;) {
        size_t size = 0;
        enum status e =
            stream_write(to->wire->stream, bytes.data, bytes.size, loop_now() + WRITE_WAIT, &size);
        if (e != TIMEOUT || size == 0)
            return e;
        bytes = slice_from(bytes, size);
    }
}

static enum status wait_for_turn(const struct websocket_side *to)
{
    enum status e = OK;
    while (!e && to->is_busy)
        e = fiber_sleep_until(loop_now() + TAKE_TURNS);
    return e;
}

/* What came from the other side. Who has got a Close frame gets nothing more. */
static enum status pass_bytes(struct websocket_side *to, struct slice bytes)
{
    enum status e = wait_for_turn(to);
    if (e || to->was_closed)
        return e;
    to->is_busy = true;
    e = write_all(to, bytes);
    to->is_busy = false;
    return e;
}

/* True where a frame of the gateway's own can be put. */
static bool is_free(struct websocket_side *to)
{
    return !to->is_busy && websocket_is_between(&other_of(to)->reader);
}

static void make_mask(unsigned char mask[4])
{
    uint64_t number = random_next(loop_random());
    memcpy(mask, &number, 4);
}

static void write_own(struct websocket_side *to, const char *frame, size_t size)
{
    to->is_busy = true;
    (void)stream_write(to->wire->stream, frame, size, loop_now() + CLOSE_WAIT, NULL);
    to->is_busy = false;
}

/* Clients' frames are masked, and to the service the gateway is a client. */
static void send_close(struct websocket_side *to)
{
    char frame[WEBSOCKET_FRAME_ROOM];
    unsigned char mask[4];
    make_mask(mask);
    size_t size =
        websocket_write_close(to->close_with, SLICE_NONE, is_client(to) ? NULL : mask, frame);
    to->was_closed = true;
    write_own(to, frame, size);
    if (to->is_ignored) /* it may wait for our end before it ends */
        (void)stream_shutdown(to->wire->stream);
}

static void send_ping(struct websocket_side *to)
{
    char frame[WEBSOCKET_FRAME_ROOM];
    unsigned char mask[4];
    make_mask(mask);
    struct slice word = slice_of((const char *)&to->relay->word, sizeof to->relay->word);
    size_t size = websocket_write(WEBSOCKET_PING, word, is_client(to) ? NULL : mask, frame);
    to->is_pinged = true;
    to->heard = loop_now();
    write_own(to, frame, size);
}

/* --- reading */

static bool is_answer_to_ping(
    const struct websocket_relay *relay, const struct websocket_piece *piece)
{
    return piece->kind == WEBSOCKET_CONTROL && piece->opcode == WEBSOCKET_PONG &&
           piece->payload_size == sizeof relay->word &&
           memcmp(piece->payload, &relay->word, sizeof relay->word) == 0;
}

/* The rate's account is the time up to which frames are used up: it may run ahead by one period. */
static bool is_too_fast(struct websocket_side *from)
{
    struct websocket_relay *relay = from->relay;
    const struct websocket_limits *limits = relay->limits;
    if (!is_client(from) || limits->rate_count == 0)
        return false;
    instant since = relay->allowed > loop_now() ? relay->allowed : loop_now();
    relay->allowed = since + limits->rate_per / limits->rate_count;
    return relay->allowed > loop_now() + limits->rate_per;
}

/* END after a Close frame, which is passed on. */
static enum status admit(struct websocket_side *from, const struct websocket_piece *piece)
{
    if (piece->kind == WEBSOCKET_PAYLOAD)
        return OK;
    if (is_too_fast(from)) {
        from->reader.code = WEBSOCKET_POLICY;
        return MESSAGES_TOO_MANY;
    }
    if (piece->kind == WEBSOCKET_DATA_HEAD) {
        from->messages += piece->is_last;
        from->relay->spoke = loop_now();
    }
    if (piece->kind != WEBSOCKET_CONTROL || piece->opcode != WEBSOCKET_CLOSE)
        return OK;
    uint16_t code;
    if (websocket_read_close(slice_of(piece->payload, piece->payload_size), &code)) {
        from->reader.code = code;
        return INVALID;
    }
    from->closed_with = code;
    return END;
}

/* How many of the bytes can be passed on, and how many behind them are for the gateway alone. OK:
 * there may be more behind these. */
static enum status measure(
    struct websocket_side *from, struct slice bytes, size_t *ret_size, size_t *ret_own)
{
    *ret_size = *ret_own = 0;
    for (;;) {
        struct websocket_piece piece;
        enum status e = websocket_read(&from->reader, slice_from(bytes, *ret_size), &piece);
        if (!e && is_answer_to_ping(from->relay, &piece)) {
            *ret_own = piece.size;
            return OK;
        }
        if (!e)
            e = admit(from, &piece);
        if (!e || e == END)
            *ret_size += piece.size;
        if (e)
            return e;
    }
}

/* Passes on what has been read. END after a Close frame; or what is wrong with the frames. A
 * receiver that is gone makes the rest be thrown away. */
static enum status pass_on(struct websocket_side *from)
{
    struct websocket_side *to = other_of(from);
    size_t size, own;
    enum status e = OK;
    while (!e && !from->is_ignored) {
        struct slice bytes = wire_unread(from->wire);
        e = measure(from, bytes, &size, &own);
        if (size && pass_bytes(to, slice_head(bytes, size))) {
            if (fiber_is_cancelled(fiber_current()))
                return CANCELLED;
            from->is_ignored = true;
            lose(to);
        }
        from->bytes += size;
        wire_consume(from->wire, size + own);
    }
    if (e == END)
        to->was_closed = true;
    if (from->is_ignored)
        wire_consume(from->wire, wire_unread(from->wire).size);
    return e == INCOMPLETE ? OK : e;
}

static bool is_at_rest(const struct websocket_side *side)
{
    return !side->is_passing && !wire_has_bytes(side->wire) && websocket_is_between(&side->reader);
}

static bool may_park(const struct websocket_relay *relay)
{
    return !relay->is_closing && !relay->is_draining && loop_now() - relay->moved >= LINGER &&
           is_at_rest(&relay->sides[WEBSOCKET_CLIENT]) &&
           is_at_rest(&relay->sides[WEBSOCKET_SERVICE]);
}

/* TIMEOUT: the relay may be parked. Both directions wait until the same moment, so that both end
 * there. */
static enum status read_more(struct websocket_side *from)
{
    struct websocket_relay *relay = from->relay;
    instant until = relay->moved + LINGER;
    for (;;) {
        if (until <= loop_now())
            until = loop_now() + LINGER;
        enum status e = wire_read_more(from->wire, SIZE_MAX, until);
        if (e == TIMEOUT && !may_park(relay)) {
            until = relay->moved + LINGER;
            continue;
        }
        if (!e) {
            relay->moved = from->heard = loop_now();
            from->is_pinged = false;
        }
        return e;
    }
}

static enum status read_and_pass(struct websocket_side *from)
{
    from->is_passing = true;
    enum status e = pass_on(from);
    from->is_passing = false;
    if (e && e != END && e != CANCELLED) {
        expel(from, e, from->reader.code);
        wire_consume(from->wire, wire_unread(from->wire).size);
        fiber_wake(from->relay->keeper);
        e = OK;
    }
    return e ? e : read_more(from);
}

static void run_direction(void *argument)
{
    struct websocket_side *from = argument;
    enum status e;
    do
        e = read_and_pass(from);
    while (!e);
    from->has_fiber = false;
    if (e != TIMEOUT && e != CANCELLED)
        leave(from);
    fiber_wake(from->relay->keeper);
}

/* --- keeping */

static void stir(void *argument)
{
    struct websocket_relay *relay = argument;
    relay->has_stirred = true;
    fiber_wake(relay->keeper);
}

static void park(struct websocket_relay *relay)
{
    relay->is_parked = true;
    relay->has_stirred = false;
    for (int i = 0; i < 2; i++)
        stream_park(relay->sides[i].wire->stream, stir, relay);
}

static void unpark(struct websocket_relay *relay)
{
    for (int i = 0; relay->is_parked && i < 2; i++)
        stream_unpark(relay->sides[i].wire->stream);
    relay->is_parked = false;
}

/* Sees to it that both sides are read, as long as something may come from them. */
static enum status start_readers(struct websocket_relay *relay)
{
    enum status e = OK;
    for (int i = 0; !e && i < 2; i++) {
        struct websocket_side *side = &relay->sides[i];
        if (side->has_fiber || side->has_left)
            continue;
        e = scope_start(&relay->scope, run_direction, side);
        side->has_fiber = !e;
    }
    return e;
}

static enum status resume(struct websocket_relay *relay)
{
    unpark(relay);
    relay->moved = loop_now();
    return start_readers(relay);
}

static instant ping_due(const struct websocket_side *side)
{
    int64_t ping = side->relay->limits->ping;
    return ping && !side->relay->is_closing ? side->heard + ping : NEVER;
}

static instant idle_due(const struct websocket_relay *relay)
{
    return relay->limits->idle && !relay->is_closing ? relay->spoke + relay->limits->idle : NEVER;
}

/* When something is to be done although nobody stirs. */
static instant next_due(struct websocket_relay *relay)
{
    instant due = clock_sooner(idle_due(relay), relay->is_closing ? relay->closing_until : NEVER);
    for (int i = 0; i < 2; i++) {
        struct websocket_side *side = &relay->sides[i];
        due = clock_sooner(due, ping_due(side));
        if (side->close_with && !side->was_closed)
            due = clock_sooner(due, loop_now() + TAKE_TURNS);
    }
    return due;
}

/* The frame that it is being sent will never end. */
static bool is_cut_short(struct websocket_side *side)
{
    const struct websocket_side *other = other_of(side);
    return side->close_with && !side->was_closed && !side->is_busy && other->has_left &&
           !websocket_is_between(&other->reader);
}

static void attend_side(struct websocket_side *side)
{
    if (is_cut_short(side))
        side->is_lost = side->was_closed = true;
    else if (side->close_with && !side->was_closed && is_free(side))
        send_close(side);
    if (loop_now() < ping_due(side))
        return;
    if (side->is_passing) /* it is not read as long as the other does not take what it sent */
        side->heard = loop_now();
    else if (side->is_pinged)
        lose(side);
    else if (is_free(side))
        send_ping(side);
    else
        side->heard = loop_now(); /* in the midst of traffic to it */
}

static void attend(struct websocket_relay *relay)
{
    if (relay->is_draining && !relay->is_closing) {
        relay->code = WEBSOCKET_GOING_AWAY;
        begin_close(relay, SHUTTING_DOWN, WEBSOCKET_GOING_AWAY, WEBSOCKET_GOING_AWAY);
    }
    if (loop_now() >= idle_due(relay)) {
        relay->code = WEBSOCKET_GOING_AWAY;
        begin_close(relay, IDLE_TIMEOUT, WEBSOCKET_GOING_AWAY, WEBSOCKET_GOING_AWAY);
    }
    for (int i = 0; i < 2; i++)
        attend_side(&relay->sides[i]);
}

static bool is_over(const struct websocket_relay *relay)
{
    const struct websocket_side *sides = relay->sides;
    if (relay->is_closing && loop_now() >= relay->closing_until)
        return true;
    for (int i = 0; i < 2; i++)
        if (!(sides[i].has_left || sides[i].is_lost) ||
            (sides[i].close_with && !sides[i].was_closed))
            return false;
    return true;
}

/* Between two waits: nothing is done while it is parked and nothing is due. */
static enum status step(struct websocket_relay *relay)
{
    bool is_due = relay->has_stirred || relay->is_draining || loop_now() >= next_due(relay);
    if (relay->is_parked && !is_due)
        return OK;
    enum status e = relay->is_parked ? resume(relay) : OK;
    if (!e)
        attend(relay);
    bool is_read = relay->sides[0].has_fiber || relay->sides[1].has_fiber;
    if (!e && !relay->is_closing && !is_read)
        park(relay);
    else if (!e)
        e = start_readers(relay);
    return e;
}

void websocket_relay_run(struct websocket_relay *relay)
{
    relay->keeper = fiber_current();
    enum status e = resume(relay);
    while (!e && !is_over(relay)) {
        e = fiber_wait(next_due(relay));
        if (!e || e == TIMEOUT)
            e = step(relay);
    }
    if (e && !relay->is_closing)
        relay->reason = e == CANCELLED ? SHUTTING_DOWN : e;
    scope_end(&relay->scope);
    unpark(relay);
    relay->keeper = NULL;
}

void websocket_relay_drain(struct websocket_relay *relay)
{
    relay->is_draining = true;
    if (relay->keeper)
        fiber_wake(relay->keeper);
}
