/* The line of a source with carets below it, as a diagnostic shows it:
 *
 *        34 |   cart: {at: dns+srv://cart.internal, balence: hash cookie.session}
 *           |                                       ^^^^^^^ did you mean "balance"?
 *
 * The carets stand below what they mean whatever the line is made of: tabs become spaces, wide and
 * combining characters are counted as terminals show them, bytes that could steer a terminal become
 * U+FFFD, and of a long line only the part around the carets is shown. */
#pragma once

#include "base/text.h"
#include "config/source.h"

/* What is not to be shown: stars stand for it. */
struct hidden_place {
    struct hidden_place *next;
    struct place place;
};

/* `before_carets` and `after_carets` colour them; both may be empty. `hidden` is a list. */
void excerpt_add(const struct place *place, const struct hidden_place *hidden, struct slice hint,
    struct slice before_carets, struct slice after_carets, struct text *text);

/* Text that came from outside, made safe to show on one line of a terminal. */
void excerpt_add_safe(struct slice s, struct text *text);
