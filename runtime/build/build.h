/* build.h - images from Dockerfiles (containers.md 7).
 *
 * Each instruction that changes files runs on an overlay of the layers so far; its upper directory
 * becomes the next layer as it is, and the archive of it the blob. Nothing of a build is visible
 * before its end. */
#ifndef RUNTIME_BUILD_BUILD_H
#define RUNTIME_BUILD_BUILD_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "runtime/build/dockerfile.h"
#include "runtime/build/expand.h"
#include "runtime/build/glob.h"
#include "runtime/image/layer.h"
#include "runtime/image/store.h"

enum { BUILD_STAGES_MAX = 100, BUILD_KEY_SIZE = REFERENCE_DIGEST_MAX + 1 };

struct build_options {
    int context_fd;
    const char *file_name;   /* of the Dockerfile, for messages */
    const json_t *contexts;  /* --build-context: name -> directory */
    const json_t *secrets;   /* --secret: id -> {"file"} or {"env"} */
    const char *platform;    /* --platform, NULL: this machine's */
    int64_t epoch_s;         /* SOURCE_DATE_EPOCH; -1: none */
    bool pulls;              /* --pull: newer base images */
    bool is_terminal;        /* progress may go back over its lines */
    const char *output_kind; /* --output: "tar", "local"; NULL: the image in the store is all */
    int output_fd;           /* the file or directory */
    const char *target;      /* NULL: the last stage */
    const json_t *arguments; /* --build-arg, an object */
    const json_t *labels;    /* --label, an object */
    const char *network;     /* of RUN: bridge, host, none */
    bool has_no_cache;
    bool is_quiet;
};

/* What a build knows about one stage; internal to the folder. */
struct build_stage {
    const char *name; /* "" */
    uint32_t first;   /* its FROM */
    uint32_t end;     /* one behind its last instruction */
    bool is_built;
    bool has_command;  /* a CMD of its own */
    char platform[64]; /* FROM --platform, "": none */
    json_t *document;  /* the image's configuration so far */
    struct layers layers;
    json_t *arguments;        /* ARGs in effect: name -> value or null */
    char key[BUILD_KEY_SIZE]; /* of the last step */
    char created[40]; /* when its last layer was made: a cached build gives the same image */
};

struct build {
    const struct store *store;
    const struct build_options *options;
    struct arena arena;
    struct dockerfile file;
    struct ignore ignore;
    json_t *globals; /* ARGs before the first FROM */
    struct build_stage stages[BUILD_STAGES_MAX];
    uint32_t stage_count;
    bool is_parallel;              /* several stages run at the same time, each in its process */
    const struct build_stage *now; /* whose step is running */
    uint32_t step_number;          /* of its instructions, for "Step 3/7" */
    uint64_t step_start_ms;
    bool was_cached;
    struct buf step_output; /* on a terminal: the end of what the command wrote */
    char id[65];            /* names its directories, its network lease, its containers */
    json_t *cache;          /* key -> entry of this build, written in the end */
};

/* dockerfile: its text; ignore: the text of .dockerignore. id gets the image's. The caller holds
 * the store lock, shared, and has called mount_root_isolate. */
MUST_USE int build_image(const struct store *store, const struct build_options *options,
                         struct bytes dockerfile, struct bytes ignore, char *id, struct err *err);

/* ---- internal ---- */

/* 64 random digits. */
void build_make_id(char out[65]);

MUST_USE int build_stage_run(struct build *build, struct build_stage *stage, struct err *err);
/* A stage that comes before number `before`, by name (without case) or number; NULL. */
struct build_stage *build_find_stage(struct build *build, const char *name, uint32_t before);
/* "config" of the stage's document. */
json_t *build_config(const struct build_stage *stage);
/* Variables of a stage: ENV before ARG. */
const char *build_lookup(void *context, const char *name, size_t size);
struct expand build_expand(struct build *build, struct build_stage *stage);

/* Instructions that change only the configuration. */
MUST_USE int build_set_config(struct build *build, struct build_stage *stage,
                              const struct dockerfile_instruction *instruction, struct err *err);

/* A directory with the stage's files mounted. */
struct build_workspace {
    char *directory; /* owned; upper work merged below it */
    int directory_fd;
    int root_fd;
};
MUST_USE int build_workspace_open(struct build *build, struct build_stage *stage,
                                  struct build_workspace *workspace, struct err *err);
void build_workspace_close(struct build_workspace *workspace);
/* Make a layer of what was changed and add it to the stage. */
MUST_USE int build_workspace_commit(struct build *build, struct build_stage *stage,
                                    struct build_workspace *workspace, struct err *err);

/* Where COPY --from and RUN --mount=from take files: the context, a stage, an image, a named
 * context. */
struct build_source {
    int fd;
    bool uses_ignore;          /* of the context */
    const char *key;           /* NULL: what is taken is hashed */
    struct build_stage *image; /* owned */
    struct build_workspace workspace;
};
/* from NULL: the context. build_source.c */
MUST_USE int build_source_open(struct build *build, const struct build_stage *stage,
                               const char *from, struct build_source *source, struct err *err);
void build_source_close(struct build_source *source);
/* What would be copied from a path, as a digest. build_copy.c */
MUST_USE int build_hash_path(struct build *build, const struct build_stage *stage,
                             struct build_source *source, const char *path, char *digest,
                             struct err *err);
/* The layers and configuration of an image of the store, pulled when it is missing. */
MUST_USE int build_take_image(struct build *build, struct build_stage *stage, const char *name,
                              struct err *err);

/* The mounts of a RUN: build_mount.c. */
enum { BUILD_MOUNTS_MAX = 16 };
struct build_mounts {
    struct build_source *sources[BUILD_MOUNTS_MAX]; /* owned */
    int fds[BUILD_MOUNTS_MAX];                      /* what is mounted, and locks */
    size_t source_count;
    size_t fd_count;
    json_t *made;   /* paths of the root that were not there before */
    json_t *pinned; /* mounts of this process' namespace */
};
/* Appends mounts of the specification, and variables to env. The workspace is the RUN's. */
MUST_USE int build_mounts_open(struct build *build, struct build_stage *stage,
                               const struct dockerfile_instruction *instruction,
                               const struct build_workspace *workspace, struct build_mounts *mounts,
                               json_t *spec, json_t *env, struct err *err);
/* Note a path that is about to become a mount point. */
void build_mounts_note(struct build_mounts *mounts, const struct build_workspace *workspace,
                       const char *path);
/* Takes away what was made only to mount something on it. */
void build_mounts_close(struct build_mounts *mounts, const struct build_workspace *workspace);

/* Download into an unnamed file; Last-Modified goes to *ret_time, 0: unknown. build_fetch.c */
MUST_USE int build_fetch(const struct build *build, const char *url, int *ret_fd, int64_t *ret_time,
                         struct err *err);
/* xz, bzip2 and the like into an unnamed file; ERR_MALFORMED when it is none of them. */
MUST_USE int build_decompress(const struct build *build, int fd, int *ret_fd, struct err *err);

MUST_USE int build_run(struct build *build, struct build_stage *stage,
                       const struct dockerfile_instruction *instruction, struct err *err);
MUST_USE int build_copy(struct build *build, struct build_stage *stage,
                        const struct dockerfile_instruction *instruction, struct err *err);
/* WORKDIR makes its directory. */
MUST_USE int build_make_workdir(struct build *build, struct build_stage *stage, struct err *err);

/* The cache: 1 and the layer is added to the stage, or 0. */
MUST_USE int build_cache_use(struct build *build, struct build_stage *stage, struct err *err);
void build_cache_add(struct build *build, const struct build_stage *stage);
MUST_USE int build_cache_write(struct build *build, struct err *err);
/* stage->key = H(stage->key, text) */
void build_key_add(struct build_stage *stage, struct bytes text);

/* An overlay's upper directory as a layer archive (image-spec layer.md "Whiteouts"). */
MUST_USE int build_write_layer(int upper_fd, int fd, int64_t *ret_size, struct err *err);

/* build_progress.c */
void build_step_begin(struct build *build, const struct build_stage *stage,
                      const struct dockerfile_instruction *instruction);
void build_step_end(struct build *build, const struct build_stage *stage,
                    const struct dockerfile_instruction *instruction, bool is_good);
/* Show, or keep for the case of failure, what a command writes, until its end. */
void build_step_relay(struct build *build, int fd);
/* "2026-…": now, or SOURCE_DATE_EPOCH. out: 40. */
void build_now(const struct build *build, char *out);

/* build_stages.c: all stages that the target needs, in the order that they need each other, as many
 * at the same time as there are processors. */
MUST_USE int build_stages_run(struct build *build, uint32_t target, struct err *err);
/* build_export.c: the target's files to --output. */
MUST_USE int build_export(struct build *build, struct build_stage *target, struct err *err);

void build_say(const struct build *build, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
