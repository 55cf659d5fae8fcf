/* What each line of a YAML text is part of, as libyaml sees it. */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum line_kind {
    LINE_FREE,   /* structure, a comment, or empty */
    LINE_FLOW,   /* goes on with a map or list in brackets */
    LINE_FOLDED, /* goes on with a text in quotes or without */
    LINE_BODY,   /* of a block scalar (| or >) */
};

struct layout_line {
    struct slice text; /* without its end */
    enum line_kind kind;
    bool keeps_end;       /* blanks at its end count */
    unsigned body_indent; /* of LINE_BODY: the number behind the | or >; 0: none */
    uint32_t flow_depth;  /* brackets open where it begins */
    size_t body_column;   /* of LINE_BODY: where the text begins, if there is no number */
};

/* An array that the caller frees. INVALID when the text is not YAML, NO_MEMORY. */
enum status layout_scan(struct slice source, struct layout_line **ret_lines, size_t *ret_count);
