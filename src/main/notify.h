/* Telling the service manager how the program does (sd_notify(3)). Does nothing when there is none.
 */
#pragma once

/* "READY=1", "STOPPING=1", ... */
void notify_manager(const char *state);

/* "RELOADING=1" with the time that the protocol asks for. */
void notify_reloading(void);
