/* Fields that a configuration cannot set, because only the gateway knows what is true in them. */
#pragma once

#include "http/fields.h"

/* Why the field cannot be set or removed (the end of a sentence), or NULL when it can. Also for
 * what is no field name. */
const char *reserved_field_problem(struct slice name);
