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
