/* Reading configurations in tests: texts into trees and values, and what was complained of. */
#pragma once

#include "config/option.h"
#include "support/unit.h"

/* One text being read; everything lives in its arena. */
struct config {
    struct arena arena;
    struct diagnostics diagnostics;
    struct source source;
    struct reader reader;
    struct node *root; /* NULL when the text could not be read */
};

/* Reads YAML; the first complaint and the status can be looked at afterwards. */
enum status config_begin(struct config *config, struct slice text);
void config_end(struct config *config);

/* A malformed text, where the first complaint points, and a part of what it says. */
struct malformed {
    const char *text;
    uint32_t line, column;
    const char *says;
    const char *hints; /* a part of the hint; NULL: whatever */
};

/* True when the first complaint (by place) is the wanted one; else shows what there was. */
bool config_complains(struct config *config, const struct malformed *wanted);

/* Fails the test with all complaints when there is one. */
void config_check_clean(struct config *config);

/* Begins with a text, and reads it by the table; `options` begin as zeros. Complaints can be looked
 * at afterwards, or, read cleanly, fail the test. */
void config_read(
    struct config *config, const char *text, const struct option_table *table, void *options);
void config_read_clean(
    struct config *config, const char *text, const struct option_table *table, void *options);

/* Reads each of an array of malformed texts; shows all that are not complained of as they should
 * be, and fails the test when there was one. */
#define assert_malformed(table, cases) \
    config_check_malformed((table), (cases), sizeof(cases) / sizeof *(cases))

void config_check_malformed(
    const struct option_table *table, const struct malformed *cases, size_t count);
