/* state.h - what kvrun remembers of a container between its calls.
 *
 *   ROOT/ID/            0700; made by create, gone after delete; flock'ed while the container
 * changes ROOT/ID/state.json  written whole (rename) at each step ROOT/ID/config.json the bundle's
 * configuration as it was at create ROOT/ID/start       unix socket of the parked first process;
 * exists until `start`
 *
 * The pid is trusted only together with the process's start time, so a reused pid is never
 * signalled. */
#ifndef RUNTIME_CONTAINER_STATE_H
#define RUNTIME_CONTAINER_STATE_H

#include <sys/types.h>

#include "base/buf.h"
#include "runtime/container/spec.h"

enum state_status {
    STATE_CREATING,
    STATE_CREATED,
    STATE_RUNNING,
    STATE_PAUSED,
    STATE_STOPPED,
};

struct state {
    const char *id;
    const char *oci_version;
    const char *bundle;
    const char *rootfs;
    const char *created;     /* RFC 3339 */
    const char *cgroup_path; /* "": none */
    int64_t cgroup_depth;    /* directories that were made */
    int64_t pid;             /* 0: none yet */
    uint64_t start_time;     /* of the pid, clock ticks since boot (proc(5) field 22) */
    int64_t owner;
    bool is_created; /* create has been completed */
    bool no_cgroup;
    struct text_map annotations;
};

/* Where states live: --root, else /run/kvrun, else $XDG_RUNTIME_DIR/kvrun without privilege. */
const char *state_default_root(struct arena *arena);
/* ERR_INVALID: not [A-Za-z0-9_+-][A-Za-z0-9_+.-]*, or longer than 1024 bytes. */
MUST_USE int state_check_id(const char *id, struct err *err);

/* A container's directory. fd is closed by the caller. ERR_NOT_FOUND, ERR_EXISTS. */
MUST_USE int state_make_directory(const char *root, const char *id, struct err *err);
MUST_USE int state_open_directory(const char *root, const char *id, struct err *err);
/* Wait for, or take, the lock; it ends with the descriptor. */
MUST_USE int state_lock(int directory, struct err *err);

MUST_USE int state_write(int directory, const struct state *state, struct err *err);
MUST_USE int state_read(int directory, struct arena *arena, struct state *ret, struct err *err);
MUST_USE int state_read_config(int directory, struct arena *arena, struct spec *ret,
                               struct err *err);
MUST_USE int state_remove(const char *root, const char *id);

/* Field 22 of /proc/PID/stat; 0: no such process, or it is a zombie. */
uint64_t state_process_start_time(pid_t pid);
/* A pidfd of the container's first process, after its start time was compared; -ESRCH: it has
 * ended. */
MUST_USE int state_open_process(const struct state *state);
enum state_status state_status(int directory, const struct state *state);
const char *state_status_name(enum state_status status);

/* The state as the specification shows it to hooks and callers. */
void state_append_public(struct buf *out, const struct spec *spec, const char *id,
                         const char *status, pid_t pid, const char *bundle);

#endif
