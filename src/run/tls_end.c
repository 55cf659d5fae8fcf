/* How TLS streams end. The peer is told (close_notify), so that it knows that nobody has cut the
 * connection; and when there is no room for that yet, it is waited for. */
#include "run/loop.h"
#include "run/tls_core.h"

#define PARTING_TIME (30 * SECOND) /* for a peer that is slow to read what was sent before */

enum status tls_end_below(struct tls *tls)
{
    if (!tls->is_flushing && fiber_current() && tls_push(tls) == INCOMPLETE)
        (void)tls_flush(tls, loop_now() + PARTING_TIME);
    return stream_shutdown(tls->below);
}

static void close_now(struct tls *tls)
{
    stream_close(tls->below);
    tls_free(tls);
}

static void close_later(void *argument)
{
    struct tls *tls = argument;
    (void)tls_flush(tls, loop_now() + PARTING_TIME);
    close_now(tls);
}

void tls_leave(struct tls *tls)
{
    parking_end(&tls->parking);
    tls->session = NULL;
    tls->is_corked = false;
    if (tls_push(tls) == INCOMPLETE) {
        stream_on_break(tls->below, NULL, NULL);
        if (scope_start(loop_scope(loop_current()), close_later, tls) == OK)
            return;
    }
    close_now(tls);
}

void tls_break_off(struct stream *stream)
{
    struct tls *tls = tls_of(stream);
    stream_break_off(tls->below);
    tls_free(tls);
}
