/* volume_files.h - the files of configMap, secret, downwardAPI and projected volumes. Pure. */
#ifndef ORCHESTRATOR_AGENT_VOLUME_FILES_H
#define ORCHESTRATOR_AGENT_VOLUME_FILES_H

#include "orchestrator/agent/pod_env.h"

struct volume_file {
    char *path; /* relative, without ".." */
    struct buf data;
    uint32_t mode;
};

struct volume_files {
    struct volume_file *items;
    size_t count;
};

void volume_files_deinit(struct volume_files *files);
static inline void cleanup_volume_files(struct volume_files *files)
{
    volume_files_deinit(files);
}

/* True for the volumes that are made of such files. */
bool volume_has_files(const json_t *volume);
/* token_of gives the token of a serviceAccountToken source, or NULL while there is none. ERR_BUSY,
 * ERR_NOT_FOUND, ERR_INVALID as pod_env_make. */
MUST_USE int volume_files_make(const struct pod_record *record, const json_t *volume,
                               const struct pod_surroundings *around,
                               const char *(*token_of)(void *context, const json_t *source),
                               void *context, struct volume_files *ret, struct err *err);

/* Objects that the pod refers to: calls visit with resource and name; a name may come twice. */
void pod_references(const struct pod_record *record,
                    void (*visit)(void *context, const char *resource, const char *name),
                    void *context);

#endif
