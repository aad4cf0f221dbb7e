/* service_notify.h - the sd_notify protocol without its library: one datagram to the socket that
 * NOTIFY_SOCKET names. Source: sd_notify(3), systemd.exec(5). */
#ifndef BASE_SERVICE_NOTIFY_H
#define BASE_SERVICE_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1"; several lines may be joined by '\n'. Nothing happens where
 * no service manager listens. */
void service_notify(const char *state);
/* How long the service manager waits for a sign of life, in milliseconds (WATCHDOG_USEC); 0: it
 * waits for none, or not for this process (WATCHDOG_PID). */
uint64_t service_watchdog_ms(void);

#endif
