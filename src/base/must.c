#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "weir: a bug: %s:%d: \"%s\" does not hold\n", file, line, expression);
    abort();
}
