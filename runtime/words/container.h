/* container.h - containers of this machine as directories; there is no daemon.
 *
 *     <root>/containers/<id>/container.json   what it was made with (rename and update change it)
 *                            state.json       what happened to it last
 *                            upper work merged config.json hosts hostname resolv.conf
 *                            container.log    its output (CRI format), written by its kvshim
 *                            exit.json        how it ended, written by its kvshim
 *     <root>/names/<name>                     symbolic link to the id; making it claims the name
 *     <run>/<first 24 digits>.sock            its kvshim; <run> is $CORACLE_RUN or /run/coracle
 *
 * What state.json says about a running container is believed only while its process (pid and start
 * time, this boot) exists; otherwise exit.json tells the end. So `ps -a` is right after crashes. */
#ifndef RUNTIME_WORDS_CONTAINER_H
#define RUNTIME_WORDS_CONTAINER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "runtime/image/store.h"

enum { CONTAINER_ID_SIZE = 64, CONTAINER_NAME_MAX = 128 };

struct container {
    char id[CONTAINER_ID_SIZE + 1];
    char *directory;
    int directory_fd;
    json_t *document; /* container.json */
    json_t *state;    /* state.json */
};

enum container_status {
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_PAUSED,
    CONTAINER_RESTARTING,
    CONTAINER_EXITED,
    CONTAINER_DEAD, /* half made or half removed */
};

const char *container_status_text(enum container_status status);

/* A new directory and a claimed name (name NULL: one is invented). ERR_EXISTS when the name is
 * taken. The documents are empty objects until they are written. */
MUST_USE int container_new(const struct store *store, const char *name, struct container *ret,
                           struct err *err);
/* By name, full id, or the start of one. ERR_NOT_FOUND; ERR_INVALID when several match. */
MUST_USE int container_find(const struct store *store, const char *text, struct container *ret,
                            struct err *err);
void container_close(struct container *container);

/* Calls visit for every container, newest first; stops at the first non-zero. */
MUST_USE int container_list(const struct store *store,
                            int (*visit)(struct container *container, void *context), void *context,
                            struct err *err);

MUST_USE int container_write_document(const struct container *container, bool is_durable,
                                      struct err *err);
MUST_USE int container_write_state(const struct container *container, struct err *err);
MUST_USE int container_read_state(struct container *container, struct err *err);

/* One process at a time starts, stops or removes a container. ERR_NOT_FOUND: it was removed. */
MUST_USE int container_lock(const struct container *container, int *ret_fd, struct err *err);

/* What is true now. When the process has ended meanwhile, the state in memory is brought up to
 * date (not on disk; see lifecycle.h); that waits until the shim has noted how it ended. */
enum container_status container_refresh(struct container *container);

/* Remove what is left of removals that were interrupted. */
void container_sweep(const struct store *store);
/* Remove the directory and the name. */
MUST_USE int container_remove_files(const struct store *store, const struct container *container,
                                    struct err *err);
/* Take another name; ERR_EXISTS. */
MUST_USE int container_claim_name(const struct store *store, const char *name, const char *id,
                                  struct err *err);

const char *container_name(const struct container *container);
const json_t *container_config(const struct container *container);
const json_t *container_host(const struct container *container);
pid_t container_pid(const struct container *container);
/* True while this very process exists. */
bool container_is_process(pid_t pid, int64_t start_ticks);
int64_t container_start_ticks(pid_t pid); /* 0: no such process */

/* $CORACLE_RUN, /run/coracle, or $XDG_RUNTIME_DIR/coracle; made when missing. out: PATH_MAX. */
MUST_USE int container_run_directory(char *out, struct err *err);
MUST_USE int container_socket_path(const struct container *container, char *out, struct err *err);

static inline void cleanup_container(struct container *container)
{
    container_close(container);
}

#endif
