/* What an agent says in words: yes or no (is the endpoint overloaded?), or those of HAProxy's agent
 * checks: 75%, ready, drain, maint, up, down, fail, stopped, maxconn:50; several on a line, a
 * reason behind #. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

enum agent_answer { AGENT_SILENT, AGENT_YES, AGENT_NO };

struct agent_said {
    enum agent_answer overloaded; /* yes; 0% and more */
    enum agent_answer out;        /* drain, maint; ready */
    enum agent_answer down;       /* down, fail, stopped; up */
    bool has_share, has_limit;
    double share;     /* 75%: 0.75 of its weight; 0% is said as overloaded */
    uint32_t limit;   /* maxconn: requests in flight; 0: any number */
    struct slice why; /* of the text; empty: it did not say */
};

/* Reads the first line. INVALID: there is no word, or one that is none of these. A percentage above
 * 0 says that it is not overloaded. */
enum status agent_words_parse(struct slice text, struct agent_said *ret_said);
