/* Comparing a service's endpoints with each other: who fails much more often than the others, or is
 * much slower, is ejected; and when too few are well, all are asked (panic).
 *
 * On the control thread, from counters that calls keep anyway: it costs a request nothing. */
#pragma once

#include "service/roster.h"

/* The roster begins to be used; an older one of the same service is looked at no more. */
void outlier_adopt(struct roster *roster);

/* Brings ejected endpoints back, compares them when an interval is over, looks for panic; when to
 * look again if nothing happens. */
instant outlier_look(struct roster *roster, instant now);

/* Whether an endpoint's health has changed since, for whoever changed it on the control thread and
 * cannot wait for the next look. */
void outlier_look_for_panic(struct roster *roster);
