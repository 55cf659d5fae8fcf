#include "handler/handler.h"

#define HANDLER(name) extern const struct handler_type name##_handler;
#include "handler/handlers.def"
#undef HANDLER

const struct handler_type *const handler_types[] = {
#define HANDLER(name) &name##_handler,
#include "handler/handlers.def"
#undef HANDLER
    NULL};

const struct handler_type *handler_type_of(struct slice name)
{
    for (size_t i = 0; handler_types[i]; i++)
        if (slice_equal(name, slice_of_text(handler_types[i]->name)))
            return handler_types[i];
    return NULL;
}
