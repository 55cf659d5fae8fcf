/* What expressions can ask about the client's token: for the table of roots alone. Without a token
 * all of it is missing. */
#pragma once

#include "config/expression_root.h"

void read_claims(struct exchange *x, const struct root_operand *operand, struct value *ret_value);
