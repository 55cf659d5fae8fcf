/* What is made from option tables besides reading: the JSON Schema, the reference, the long form,
 * the formatted file. */
#pragma once

#include "config/option.h"

/* JSON Schema (draft 7) of a file whose top is `table`. */
void document_schema(const struct option_table *table, struct text *text);

/* The reference page in Markdown: each table that can be reached, each option with type, default,
 * bounds and help. */
void document_reference(const struct option_table *table, struct text *text);

/* Formats a YAML text and keeps its comments: two-space indentation, one blank line between
 * top-level keys at most, short flow forms kept, keys in the file's order. Never changes what the
 * file means: the result is read back and compared, INTERNAL if it differs. `long_form`: every
 * shorthand and phrase as its map (needs the table). */
enum status document_format(const struct source *source, const struct option_table *table,
    bool long_form, struct diagnostics *diagnostics, struct text *text);
