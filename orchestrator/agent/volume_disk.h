/* volume_disk.h - volumes of pods as directories of this node. */
#ifndef ORCHESTRATOR_AGENT_VOLUME_DISK_H
#define ORCHESTRATOR_AGENT_VOLUME_DISK_H

#include "orchestrator/agent/volume_files.h"

/* mkdir -p. */
MUST_USE int disk_make_directory(const char *path, uint32_t mode, struct err *err);
/* Write a file in one step; the directory exists. */
MUST_USE int disk_write(const char *path, struct bytes data, uint32_t mode, struct err *err);
/* The whole file, at most size_max bytes; ERR_NOT_FOUND. */
MUST_USE int disk_read(const char *path, size_t size_max, struct buf *out, struct err *err);
/* The file as JSON; NULL when it is missing or damaged. */
json_t *disk_read_json(const char *path);
MUST_USE int disk_write_json(const char *path, const json_t *value, struct err *err);

/* Bring the files of a volume up to date in one step, as kubelet's atomic writer does: they are
 * links through "..data", which is exchanged. Nothing happens when nothing changed. group -1:
 * root's.
 */
MUST_USE int disk_publish(const char *directory, const struct volume_files *files, int64_t group,
                          struct err *err);
/* An emptyDir; medium "Memory" is a tmpfs. size 0: no limit. */
MUST_USE int disk_empty(const char *directory, bool is_memory, int64_t size, int64_t group,
                        struct err *err);
/* What hostPath.type asks for. */
MUST_USE int disk_host_path(const char *path, const char *type, struct err *err);

#endif
