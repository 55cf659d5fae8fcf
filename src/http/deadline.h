/* Deadlines that travel: X-Request-Deadline says until when somebody waits for the answer, in
 * milliseconds since 1970 by the wall clock ("1763719200250"). It is absolute, so whoever passes it
 * on need not know how long the way took; clocks have to agree, as those of one system do. */
#pragma once

#include "http/exchange.h"

/* Milliseconds since 1970: digits alone. INVALID. */
enum status deadline_parse(struct slice text, int64_t *ret_milliseconds);

/* Limits the exchange to what its client says, if that may be believed; what is wrong, or said by
 * others, is taken out. Services are told from then on. */
enum status deadline_read(struct exchange *x);

/* Says to who is asked next until when; nothing when that is never, or nobody is to be told.
 * NO_MEMORY. */
enum status deadline_forward(struct exchange *x, instant deadline);
