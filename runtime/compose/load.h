/* load.h - Compose files to one project in normal form. Pure but for the reader that is given.
 *
 * Source: compose-spec. The order: YAML with anchors, variables, include, extends, the normal form,
 * files over each other, profiles, env_file, what refers to what.
 *
 * The project: {"name", "services": {…}, "networks": {…}, "volumes": {…}, "secrets": {…},
 * "configs": {…}}; each network, volume, secret and config has the "name" that it has on the
 * machine. */
#ifndef RUNTIME_COMPOSE_LOAD_H
#define RUNTIME_COMPOSE_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/compose/places.h"

enum { LOAD_FILES_MAX = 64, LOAD_DEPTH_MAX = 20 };

struct load_input {
    const char *const *files; /* absolute paths; each over those before it */
    size_t file_count;
    const char *directory;     /* of the project, absolute */
    const char *name;          /* NULL: `name` of the files, or the directory's */
    const json_t *environment; /* an object of texts: the shell's over those of .env */
    const char *const *profiles;
    size_t profile_count; /* "*": all */
    const char *const *services;
    size_t service_count; /* named by the user: their profiles count */
    bool keeps_all;       /* no service is left out for its profiles */
    /* Append a file's bytes. -ENOENT when there is none. */
    int (*read_file)(void *context, const char *path, struct buf *out, struct err *err);
    void *context;
};

struct project {
    json_t *document;
    json_t *warnings;     /* a list of texts */
    json_t *services_off; /* object: services left out for their profiles */
    struct places places;
};

/* ERR_MALFORMED, ERR_UNSUPPORTED, ERR_NOT_FOUND, ERR_TOO_LARGE; the text starts with "FILE:LINE: "
 * wherever there is a line. */
MUST_USE int project_load(const struct load_input *input, struct project *ret, struct err *err);
void project_deinit(struct project *project);

static inline void cleanup_project(struct project *project)
{
    project_deinit(project);
}

/* "My_App 2" to "my_app2": lower case, without what a project's name cannot have. out: 64. */
void project_name_clean(const char *text, char *out);

/* ---- internal ---- */

/* Profiles, names on the machine, env_file, links: settle.c. */
MUST_USE int project_settle(struct project *project, const struct load_input *input,
                            struct err *err);
/* References, cycles, clashes: check.c. */
MUST_USE int project_check(const struct project *project, struct err *err);

#endif
