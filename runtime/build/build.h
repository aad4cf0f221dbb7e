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
    json_t *document; /* the image's configuration so far */
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
    uint32_t step; /* for "Step 3/7" */
    char id[65];   /* names its directories, its network lease, its containers */
    json_t *cache; /* key -> entry of this build, written in the end */
};

/* dockerfile: its text; ignore: the text of .dockerignore. id gets the image's. The caller holds
 * the store lock, shared, and has called mount_root_isolate. */
MUST_USE int build_image(const struct store *store, const struct build_options *options,
                         struct bytes dockerfile, struct bytes ignore, char *id, struct err *err);

/* ---- internal ---- */

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

void build_say(const struct build *build, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
