/* Diagnostics: everything wrong with a configuration, collected and shown at once, each with its
 * place:
 *
 *     shop.yaml:34:14: error: unknown option "balence" for service "cart"
 *        34 |   cart: {at: dns+srv://cart.internal, balence: hash cookie.session}
 *           |                                       ^^^^^^^ did you mean "balance"?
 */
#pragma once

#include "base/text.h"
#include "config/source.h"

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

struct diagnostic {
    enum severity severity;
    struct place place;
    struct slice message;
    struct slice hint;    /* shown behind the carets; may be empty */
    struct place related; /* a second place ("the other route is here"); source NULL: none */
    struct slice related_message;
};

#define DIAGNOSTICS_MAX 200 /* further ones are only counted */

struct hidden_place;

struct diagnostics {
    struct arena *arena;         /* borrowed; messages are copied into it */
    struct hidden_place *hidden; /* the newest first */
    struct diagnostic *items;
    size_t count, errors, dropped;
};

void diagnostics_init(struct diagnostics *diagnostics, struct arena *arena);

/* Always returns INVALID, so that `return diagnostics_error(...)` reads well. */
enum status diagnostics_error(struct diagnostics *diagnostics, struct place place,
    struct slice hint, const char *format, ...) __attribute__((format(printf, 4, 5)));
void diagnostics_warning(struct diagnostics *diagnostics, struct place place, struct slice hint,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Adds a second place to the newest diagnostic. */
void diagnostics_relate(struct diagnostics *diagnostics, struct place place, const char *message);

/* A secret stands there: no excerpt shows it, whatever is wrong on that line. NO_MEMORY. */
enum status diagnostics_hide(struct diagnostics *diagnostics, struct place place);

/* Copies the sources that the places are in, so that the diagnostics outlive them: for who frees
 * what was read because of what they say. NO_MEMORY: then the places are nowhere. */
enum status diagnostics_keep_sources(struct diagnostics *diagnostics);

/* As people read them, sorted by place, with colours if asked for. */
void diagnostics_print(struct diagnostics *diagnostics, bool color, struct text *text);

/* As a JSON array of {severity, file, line, column, length, message, hint, related}. */
void diagnostics_print_json(struct diagnostics *diagnostics, struct text *text);
