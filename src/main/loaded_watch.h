/* Noticing that files have changed that a configuration brings along, those of certificates and of
 * secrets: they are looked at once a second, through whatever links lead to them, which works where
 * events do not (shared folders, Kubernetes). Changes that come close together are reported once,
 * when nothing has changed for a second; the same state is reported once only, be it good or not.
 */
#pragma once

#include "gateway/gateway.h"

struct loaded_watch;

/* On the calling thread's loop; `changed` is called outside any fiber. */
enum status loaded_watch_new(const struct gateway *gateway, void (*changed)(void *argument),
    void *argument, struct loaded_watch **ret_watch);
void loaded_watch_free(struct loaded_watch *watch);
