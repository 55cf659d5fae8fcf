/* A service's options, read from a text. */
#pragma once

#include "service/service.h"
#include "service/service_options.h"
#include "support/config.h"

struct service_text {
    struct config config; /* ended by the test */
    struct service_options options;
};

/* Fails the test when it is complained of. */
void service_text_read(struct service_text *text, const char *yaml);
