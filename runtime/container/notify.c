#include "runtime/container/notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/json_text.h"
#include "runtime/container/sync.h"

int notify_send(const struct spec_seccomp *seccomp, const char *oci_version, pid_t pid,
                const char *state, int listener, struct err *err)
{
    const char *path = seccomp->listener_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || path[0] == 0 || strlen(path) >= sizeof address.sun_path) {
        return err_set(err, ERR_INVALID,
                       "linux.seccomp.listenerPath: needed for SCMP_ACT_NOTIFY, at most %zu bytes",
                       sizeof address.sun_path - 1);
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, "{\"ociVersion\":");
    json_text_append_quoted(&text, bytes_from_text(oci_version));
    buf_append_format(&text, ",\"fds\":[\"seccompFd\"],\"pid\":%d,\"metadata\":", pid);
    const char *metadata = seccomp->listener_metadata;
    json_text_append_quoted(&text, bytes_from_text(metadata == NULL ? "" : metadata));
    buf_append_format(&text, ",\"state\":%s}", state);
    CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        return err_set_errno(err, errno,
                             "linux.seccomp.listenerPath: failed to connect with seccomp agent "
                             "at '%s'",
                             path);
    }
    int rc = sync_send_fd(fd, listener, buf_text(&text), buf_size(&text));
    return rc < 0 ? err_set_errno(err, -rc, "linux.seccomp.listenerPath: send") : 0;
}
