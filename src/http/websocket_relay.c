#include "http/websocket_relay.h"

#include "base/random.h"
#include "run/loop.h"

#define CLOSE_WAIT (5 * SECOND)  /* for the other side's Close frame */
#define WRITE_WAIT (60 * SECOND) /* for a receiver that takes nothing */
#define TAKE_TURNS MILLISECOND
#define CRUMB      WEBSOCKET_CONTROL_MAX
#define RETRY      (1 * SECOND) /* after there was no memory for a fiber */

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

static void time_has_come(struct timer *timer);

void websocket_relay_init(struct websocket_relay *relay, struct wire *client, struct wire *service,
    bool compresses, const struct websocket_limits *limits)
{
    *relay = (struct websocket_relay){.limits = limits,
        .code = WEBSOCKET_ABNORMAL,
        .draining_from = NEVER,
        .spoke = loop_now(),
        .word = random_next(loop_random())};
    scope_init(&relay->scope);
    timer_init(&relay->timer, time_has_come);
    init_side(relay, client, WEBSOCKET_CLIENT, compresses);
    init_side(relay, service, WEBSOCKET_SERVICE, compresses);
}

/* --- fibers */

static void keep(void *argument);
static void run_direction(void *argument);

/* Sees to it that the keeper looks after the relay. */
static void tend(struct websocket_relay *relay)
{
    if (relay->keeper)
        fiber_wake(relay->keeper);
    if (relay->has_keeper)
        return;
    relay->has_keeper = !scope_start(loop_scope(loop_current()), keep, relay);
    if (!relay->has_keeper)
        timer_set(&relay->timer, loop_now() + RETRY);
}

/* Sees to it that a side is read, as long as something may come from it. */
static void start_reader(struct websocket_side *side)
{
    struct websocket_relay *relay = side->relay;
    if (side->has_fiber || side->has_left)
        return;
    side->has_fiber = !scope_start(&relay->scope, run_direction, side);
    if (!side->has_fiber && !relay->is_closing)
        timer_set(&relay->timer, loop_now() + RETRY);
}

static void start_readers(struct websocket_relay *relay)
{
    start_reader(&relay->sides[WEBSOCKET_CLIENT]);
    start_reader(&relay->sides[WEBSOCKET_SERVICE]);
}

/* --- resting */

static void unpark(struct websocket_relay *relay)
{
    for (int i = 0; relay->is_parked && i < 2; i++)
        stream_unpark(relay->sides[i].wire->stream);
    relay->is_parked = false;
}

/* Something has come from a side. */
static void stirred(void *argument)
{
    struct websocket_side *side = argument;
    unpark(side->relay);
    start_reader(side);
}

static instant next_due(struct websocket_relay *relay);

/* The timer may be early: then it is set anew. So a message costs none of it. */
static void arm(struct websocket_relay *relay)
{
    instant due = next_due(relay);
    if (due < relay->timer.when)
        timer_set(&relay->timer, due);
}

/* Unless something is under way. */
static void rest(struct websocket_relay *relay)
{
    struct websocket_side *sides = relay->sides;
    if (relay->has_keeper || relay->is_closing || sides[0].has_fiber || sides[1].has_fiber)
        return;
    relay->is_parked = true;
    for (int i = 0; i < 2; i++)
        stream_park(sides[i].wire->stream, stirred, &sides[i]);
    arm(relay);
}

/* --- ending */

/* Begins to end: codes of 0 tell that side nothing. */
static void begin_close(
    struct websocket_relay *relay, enum status reason, uint16_t to_client, uint16_t to_service)
{
    if (!relay->is_closing) {
        relay->is_closing = true;
        relay->closing_until = loop_now() + CLOSE_WAIT;
        relay->reason = reason;
        relay->sides[WEBSOCKET_CLIENT].close_with = to_client;
        relay->sides[WEBSOCKET_SERVICE].close_with = to_service;
    }
    tend(relay);
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
    tend(relay);
}

/* --- writing: whole frames of the gateway's own between those that pass */

/* As long as each wait lets some bytes through. Who has to wait leaves both directions to fibers of
 * their own. */
static enum status write_all(struct websocket_side *to, struct slice bytes, int64_t patience)
{
    size_t size = 0;
    to->is_busy = true;
    enum status e = stream_write(to->wire->stream, bytes.data, bytes.size, loop_now(), &size);
    if (e == TIMEOUT)
        start_readers(to->relay);
    for (bool has_moved = true; e == TIMEOUT && has_moved; has_moved = size > 0) {
        bytes = slice_from(bytes, size);
        e = stream_write(to->wire->stream, bytes.data, bytes.size, loop_now() + patience, &size);
    }
    to->is_busy = false;
    return e;
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
    return write_all(to, bytes, WRITE_WAIT);
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

/* Clients' frames are masked, and to the service the gateway is a client. */
static void send_close(struct websocket_side *to)
{
    char frame[WEBSOCKET_FRAME_ROOM];
    unsigned char mask[4];
    make_mask(mask);
    size_t size =
        websocket_write_close(to->close_with, SLICE_NONE, is_client(to) ? NULL : mask, frame);
    to->was_closed = true;
    (void)write_all(to, slice_of(frame, size), CLOSE_WAIT);
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
    (void)write_all(to, slice_of(frame, size), CLOSE_WAIT);
}

/* --- reading */

static bool is_answer_to_ping(
    const struct websocket_relay *relay, const struct websocket_piece *piece)
{
    return piece->kind == WEBSOCKET_CONTROL && piece->opcode == WEBSOCKET_PONG &&
           piece->payload_size == sizeof relay->word &&
           memcmp(piece->payload, &relay->word, sizeof relay->word) == 0;
}

/* A message counts once, however many frames carry it; but crumbs of one count, so that they do not
 * slip through, and so do control frames. */
static bool counts(const struct websocket_side *from, const struct websocket_piece *piece)
{
    return piece->kind == WEBSOCKET_CONTROL || piece->opcode != WEBSOCKET_CONTINUATION ||
           from->reader.remaining <= CRUMB;
}

/* The rate's account is the time up to which messages are used up: it may run ahead by one period.
 */
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
    if (counts(from, piece) && is_too_fast(from)) {
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

/* It waits for bytes only as long as it must: in the end phase, and while the other direction still
 * uses the streams, which cannot be parked then. */
static bool must_stay(struct websocket_side *from)
{
    const struct websocket_side *other = other_of(from);
    return from->relay->is_closing || (other->has_fiber && !other->is_waiting);
}

/* TIMEOUT: nothing has come. */
static enum status read_more(struct websocket_side *from)
{
    enum status e = wire_read_more(from->wire, SIZE_MAX, loop_now());
    while (e == TIMEOUT && must_stay(from)) {
        from->is_waiting = true;
        e = wire_read_more(from->wire, SIZE_MAX, NEVER);
        from->is_waiting = false;
    }
    if (!e) {
        from->heard = loop_now();
        from->is_pinged = false;
    }
    return e;
}

/* What has been read goes on its way; frames that break the rules begin the end. */
static enum status pass_on_or_expel(struct websocket_side *from)
{
    from->is_passing = true;
    enum status e = pass_on(from);
    from->is_passing = false;
    if (!e || e == END || e == CANCELLED)
        return e;
    expel(from, e, from->reader.code);
    wire_consume(from->wire, wire_unread(from->wire).size);
    return OK;
}

/* What comes in one piece needs no second fiber; where more comes at once, the other direction must
 * not wait for its end. */
static void run_direction(void *argument)
{
    struct websocket_side *from = argument, *other = other_of(from);
    from->fiber = fiber_current();
    enum status e = OK;
    for (int pieces = 0; !e; pieces++) {
        if (pieces == 2)
            start_reader(other);
        e = pass_on_or_expel(from);
        if (!e)
            e = read_more(from);
    }
    from->fiber = NULL;
    from->has_fiber = false;
    if (e == TIMEOUT && other->is_waiting)
        fiber_expire(other->fiber); /* both may rest */
    else if (e == TIMEOUT)
        rest(from->relay);
    else if (e != CANCELLED)
        leave(from);
}

/* --- keeping */

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
    instant end = relay->is_closing ? relay->closing_until : relay->draining_from;
    instant due = clock_sooner(idle_due(relay), end);
    for (int i = 0; i < 2; i++) {
        struct websocket_side *side = &relay->sides[i];
        due = clock_sooner(due, ping_due(side));
        if (side->close_with && !side->was_closed)
            due = clock_sooner(due, loop_now() + TAKE_TURNS);
    }
    return due;
}

/* Also when there was no memory for a fiber. */
static void time_has_come(struct timer *timer)
{
    struct websocket_relay *relay = list_entry(timer, struct websocket_relay, timer);
    if (!relay->is_parked || loop_now() >= next_due(relay))
        tend(relay);
    else
        arm(relay);
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
    bool is_draining = loop_now() >= relay->draining_from;
    if (!relay->is_closing && (is_draining || loop_now() >= idle_due(relay))) {
        relay->code = WEBSOCKET_GOING_AWAY;
        begin_close(relay, is_draining ? SHUTTING_DOWN : IDLE_TIMEOUT, WEBSOCKET_GOING_AWAY,
            WEBSOCKET_GOING_AWAY);
    }
    for (int i = 0; i < 2; i++)
        attend_side(&relay->sides[i]);
}

static bool is_over(const struct websocket_relay *relay)
{
    const struct websocket_side *sides = relay->sides;
    if (relay->is_cut || loop_now() >= relay->closing_until)
        return true;
    for (int i = 0; i < 2; i++)
        if (!(sides[i].has_left || sides[i].is_lost) ||
            (sides[i].close_with && !sides[i].was_closed))
            return false;
    return true;
}

/* Until both sides have closed. */
static void see_to_the_end(struct websocket_relay *relay)
{
    enum status e = OK;
    while (e != CANCELLED && !is_over(relay)) {
        start_readers(relay);
        e = fiber_wait(next_due(relay));
        attend(relay);
    }
    scope_end(&relay->scope);
    timer_cancel(&relay->timer);
    relay->keeper = NULL;
}

static void keep(void *argument)
{
    struct websocket_relay *relay = argument;
    relay->keeper = fiber_current();
    unpark(relay);
    attend(relay);
    if (relay->is_closing) {
        see_to_the_end(relay);
        relay->ended(relay);
        return;
    }
    relay->keeper = NULL;
    relay->has_keeper = false;
    rest(relay);
    arm(relay);
}

void websocket_relay_begin(
    struct websocket_relay *relay, void (*ended)(struct websocket_relay *relay))
{
    relay->ended = ended;
    for (int i = 0; i < 2; i++)
        if (wire_has_bytes(relay->sides[i].wire))
            start_reader(&relay->sides[i]);
    rest(relay);
    arm(relay);
}

void websocket_relay_drain(struct websocket_relay *relay, instant when)
{
    relay->draining_from = clock_sooner(relay->draining_from, when);
    if (relay->ended)
        arm(relay);
}

void websocket_relay_cut(struct websocket_relay *relay)
{
    if (!relay->is_closing)
        relay->reason = SHUTTING_DOWN;
    relay->is_cut = relay->is_closing = true;
    tend(relay);
}
