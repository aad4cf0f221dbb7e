/* notify.h - systemd's sd_notify protocol: one datagram to the socket named by NOTIFY_SOCKET. */
#ifndef KVSTORE_SERVER_NOTIFY_H
#define KVSTORE_SERVER_NOTIFY_H

/* "READY=1", "STOPPING=1", "WATCHDOG=1". Nothing happens where no service manager listens. */
void notify_service_manager(const char *state);

#endif
