/* What comes before a call of a service that has versions or a mirror, and what comes after it. A
 * service without that never comes here. */
#pragma once

#include "service/service_state.h"

/* As service_call, for services that are composed. */
enum status release_call(const struct service *service, struct exchange *x);
