/* compose.h - a Compose project on this machine: what the words of `kvctl compose` share. */
#ifndef RUNTIME_COMPOSE_COMPOSE_H
#define RUNTIME_COMPOSE_COMPOSE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "runtime/compose/load.h"
#include "runtime/image/store.h"
#include "runtime/words/container.h"
#include "runtime/words/options.h"

/* The options before the word. */
struct compose_options {
    struct text_list file, profile, env_file;
    const char *name, *directory, *progress, *ansi;
    bool is_quiet;
};

struct compose {
    const struct compose_options *options;
    struct store store;
    struct project project;
    struct arena arena;
    char *directory;    /* of the project, absolute; owned */
    char *config_files; /* "a.yaml,b.yaml"; owned */
    json_t *environment;
    json_t *containers; /* snapshot.h */
    json_t *hashes;     /* service -> config hash */
};

/* Find and load the files; warnings go to standard error. services: what the user names (may be
 * NULL); keeps_all: profiles do not matter (down, ps, …). */
MUST_USE int compose_open(struct compose *compose, const struct compose_options *options,
                          const struct text_list *services, bool keeps_all, struct err *err);
/* Without files, when the project's name is known: what runs is enough to end it. */
MUST_USE int compose_open_by_name(struct compose *compose, const struct compose_options *options,
                                  struct err *err);
void compose_close(struct compose *compose);

static inline void cleanup_compose(struct compose *compose)
{
    compose_close(compose);
}

/* Append a file of the host ("-": standard input), at most YAML_TEXT_SIZE_MAX. */
MUST_USE int compose_read_file(void *context, const char *path, struct buf *out, struct err *err);
const char *compose_name(const struct compose *compose);
json_t *compose_services(const struct compose *compose);
json_t *compose_service(const struct compose *compose, const char *name); /* NULL */
/* ERR_NOT_FOUND when one of the names is no service. */
MUST_USE int compose_check_names(const struct compose *compose, const struct text_list *names,
                                 struct err *err);
bool compose_is_chosen(const struct text_list *names, const char *service);

/* Progress, one line an event: " Container web-1  Started". */
void compose_say(const struct compose *compose, const char *kind, const char *name,
                 const char *what);

/* ---- snapshot.c ---- */

/* Read again what containers the project has: a list, by service and number, of {"Id", "Name",
 * "Service", "Number", "Oneoff", "Hash", "Image", "Status", "ExitCode", "Health"}. */
MUST_USE int compose_refresh(struct compose *compose, struct err *err);
/* The container of a service with a number (0: any, the lowest first); NULL. */
json_t *compose_find(const struct compose *compose, const char *service, int number);
/* All projects of this machine, as `ls` shows them. */
MUST_USE int compose_list_projects(const struct store *store, json_t **ret, struct err *err);
/* One container as the list has it. */
json_t *snapshot_describe(struct container *container);

/* ---- resources.c ---- */

MUST_USE int resources_make(struct compose *compose, const json_t *services, struct err *err);
/* Networks, and with removes_volumes volumes, of the project; those that still are used stay, with
 * a warning. */
MUST_USE int resources_remove(struct compose *compose, bool removes_volumes, struct err *err);

/* ---- images.c ---- */

enum images_when { IMAGES_MISSING, IMAGES_ALWAYS, IMAGES_NEVER };
struct images_options {
    bool builds;       /* --build: what can be built is */
    bool never_builds; /* --no-build */
    bool is_quiet, has_no_cache, pulls_base, ignores_failures;
    enum images_when pulls;
    bool has_pulls;                    /* --pull was given: pull_policy does not count */
    const struct text_list *arguments; /* --build-arg */
};
/* The images of these services are in the store. */
MUST_USE int images_ensure(struct compose *compose, const json_t *services,
                           const struct images_options *options, struct err *err);
MUST_USE int images_build(struct compose *compose, const char *name,
                          const struct images_options *options, struct err *err);
MUST_USE int images_pull(const char *image, const char *platform, bool is_quiet, struct err *err);
/* Run a sibling program and wait; its output goes where ours does, or to standard error. */
MUST_USE int run_sibling(const char *program, const struct text_list *arguments, bool to_stderr,
                         int *ret_code, struct err *err);

/* ---- create.c ---- */

struct create_input {
    const char *service;
    int number; /* 0: a one-off */
    const char *container_name;
    /* Changes to the service for a one-off; may be NULL. */
    const json_t *service_document;
};
/* Make (not start) one container. */
MUST_USE int create_container(struct compose *compose, const struct create_input *input,
                              struct container *container, struct err *err);
/* Stop and remove it. */
MUST_USE int remove_container(struct compose *compose, const char *id, int timeout_s,
                              bool removes_volumes, struct err *err);
const char *compose_hash(struct compose *compose, const char *service);

/* ---- wait.c ---- */

/* Until every container of the service meets the condition of depends_on. ERR_IO when it cannot any
 * more. timeout_ms < 0: for ever; ERR_TIMEOUT. */
MUST_USE int wait_for_condition(struct compose *compose, const char *service, const char *condition,
                                int64_t timeout_ms, struct err *err);

/* ---- up.c ---- */

struct up_options {
    bool is_forced, keeps_old, has_no_deps, has_no_start, waits, removes_orphans, is_quiet;
    bool renews_volumes;
    int timeout_s; /* < 0: each container's own */
    int64_t wait_timeout_ms;
    const struct text_list *scale; /* SERVICE=N */
    struct images_options images;
};
MUST_USE int compose_up(struct compose *compose, const struct text_list *names,
                        const struct up_options *options, struct err *err);
/* The services that are meant, with what they depend on. The caller owns the object. */
json_t *compose_choose(const struct compose *compose, const struct text_list *names,
                       bool has_no_deps);

/* ---- down.c ---- */

typedef int act_on_container(struct compose *compose, struct container *container,
                             const json_t *about, const void *context, struct err *err);
/* Act on all containers that are chosen, in a process each; services that others depend on last
 * (is_reverse), or first. */
MUST_USE int compose_each(struct compose *compose, const struct text_list *names, bool is_reverse,
                          act_on_container *act, const void *context, struct err *err);
struct down_options {
    bool removes_volumes, removes_orphans;
    const char *images; /* NULL, "all", "local" */
    int timeout_s;
};
MUST_USE int compose_down(struct compose *compose, const struct down_options *options,
                          struct err *err);
MUST_USE int compose_stop(struct compose *compose, const struct text_list *names, int timeout_s,
                          struct err *err);
/* Levels of depends_on: service -> number, 0 first. The caller owns the object. */
json_t *compose_levels(const struct compose *compose);

/* ---- logs.c ---- */

struct logs_options {
    bool follows, has_times, has_no_prefix, has_no_color;
    long tail;             /* -1: all */
    bool stops_on_signal;  /* SIGINT and SIGTERM end following */
    const char *exit_with; /* --exit-code-from: follow until this service ends */
    bool aborts;           /* --abort-on-container-exit */
};
/* *ret_signal: the signal that ended it, or 0. */
MUST_USE int compose_logs(struct compose *compose, const struct text_list *names,
                          const struct logs_options *options, int *ret_signal, struct err *err);

#endif
