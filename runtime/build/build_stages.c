/* build_stages.c - stages as a graph: each in a process of its own once those it takes from are
 * done. What a stage comes to travels back as one JSON text. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/build/build.h"
#include "runtime/image/json.h"

/* ---- the graph ---- */

static void need(struct build *build, uint32_t index, const char *name, bool *needs)
{
    const struct build_stage *other = build_find_stage(build, name, index);
    if (other != NULL) {
        needs[other - build->stages] = true;
    }
}

/* What a stage takes from directly: its base, --from, --mount=from=. */
static void find_needs(struct build *build, uint32_t index, bool *needs)
{
    const struct build_stage *stage = &build->stages[index];
    for (uint32_t i = stage->first; i < stage->end; i++) {
        const struct dockerfile_instruction *instruction = &build->file.instructions[i];
        char first[300] = "";
        if (instruction->kind == DOCKERFILE_FROM &&
            sscanf(instruction->text, "%299s", first) == 1) {
            need(build, index, first, needs);
        }
        for (uint32_t k = 0; k < instruction->flag_count; k++) {
            const char *flag = instruction->flags[k];
            const char *from = strncmp(flag, "from=", 5) == 0    ? flag
                               : strncmp(flag, "mount=", 6) == 0 ? strstr(flag, "from=")
                                                                 : NULL;
            if (from != NULL && sscanf(from + 5, "%299[^,]", first) == 1) {
                need(build, index, first, needs);
            }
        }
    }
}

struct graph {
    bool needs[BUILD_STAGES_MAX][BUILD_STAGES_MAX];
    bool is_needed[BUILD_STAGES_MAX];
    bool is_done[BUILD_STAGES_MAX];
    pid_t pids[BUILD_STAGES_MAX];
    int fds[BUILD_STAGES_MAX];
    struct buf results[BUILD_STAGES_MAX];
    uint32_t count;
};

static void mark(struct build *build, struct graph *graph, uint32_t index)
{
    graph->is_needed[index] = true;
    graph->count++;
    find_needs(build, index, graph->needs[index]);
    for (uint32_t i = 0; i < index; i++) {
        if (graph->needs[index][i] && !graph->is_needed[i]) {
            mark(build, graph, i);
        }
    }
}

/* ---- results ---- */

static json_t *pack_stage(struct build *build, const struct build_stage *stage)
{
    json_t *layers = json_array();
    for (uint32_t i = 0; i < stage->layers.count; i++) {
        const struct layer *layer = &stage->layers.items[i];
        json_array_append_new(
            layers, json_pack("{ss ss ss ss sI sI ss}", "diffId", layer->diff_id, "chainId",
                              layer->chain_id, "blob", layer->blob.digest, "type",
                              layer->blob.media_type, "blobSize", (json_int_t)layer->blob.size,
                              "size", (json_int_t)layer->size, "temporary", layer->temporary));
    }
    return json_pack("{so sO* sO* ss ss sO}", "layers", layers, "document", stage->document,
                     "arguments", stage->arguments, "key", stage->key, "created", stage->created,
                     "cache", build->cache);
}

static void unpack_layer(const json_t *from, struct layer *layer)
{
    *layer = (struct layer){.size = json_get_integer(from, "size", 0)};
    layer->blob.size = json_get_integer(from, "blobSize", 0);
    (void)snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", json_get_text(from, "diffId", ""));
    (void)snprintf(layer->chain_id, sizeof(layer->chain_id), "%s",
                   json_get_text(from, "chainId", ""));
    (void)snprintf(layer->blob.digest, sizeof(layer->blob.digest), "%s",
                   json_get_text(from, "blob", ""));
    (void)snprintf(layer->blob.media_type, sizeof(layer->blob.media_type), "%s",
                   json_get_text(from, "type", ""));
    (void)snprintf(layer->temporary, sizeof(layer->temporary), "%s",
                   json_get_text(from, "temporary", ""));
}

static int unpack_stage(struct build *build, struct build_stage *stage, struct bytes text,
                        struct err *err)
{
    CLEANUP(json) json_t *result = NULL;
    if (json_parse(text, "stage", &result, NULL) != 0) {
        return err_set(err, ERR_IO, "the process of a stage ended without a word");
    }
    const json_t *layers = json_object_get(result, "layers");
    stage->layers.count = (uint32_t)json_array_size(layers);
    stage->layers.items = mem_calloc((size_t)stage->layers.count + 1, sizeof(struct layer));
    for (uint32_t i = 0; i < stage->layers.count; i++) {
        unpack_layer(json_array_get(layers, i), &stage->layers.items[i]);
    }
    stage->document = json_incref(json_object_get(result, "document"));
    stage->arguments = json_incref(json_object_get(result, "arguments"));
    stage->is_built = true;
    (void)snprintf(stage->key, sizeof(stage->key), "%s", json_get_text(result, "key", ""));
    (void)snprintf(stage->created, sizeof(stage->created), "%s",
                   json_get_text(result, "created", ""));
    (void)json_object_update(build->cache, json_object_get(result, "cache"));
    const char *why = json_get_text(result, "error", NULL);
    return why == NULL ? 0 : err_set(err, (int)json_get_integer(result, "code", ERR_IO), "%s", why);
}

/* In the process of the stage. */
static void run_and_tell(struct build *build, struct build_stage *stage, int fd)
{
    struct err err = {.code = 0};
    CLEANUP(buf) struct buf text = BUF_INIT;
    int status = build_stage_run(build, stage, &err);
    CLEANUP(json) json_t *result = pack_stage(build, stage);
    if (status != 0) {
        json_object_set_new(result, "error", json_text(err.text));
        json_object_set_new(result, "code", json_integer(status));
    }
    json_write(result, false, &text);
    struct bytes bytes = buf_bytes(&text);
    for (size_t done = 0; done < bytes.size;) {
        ssize_t count = write(fd, bytes.data + done, bytes.size - done);
        if (count < 0 && errno != EINTR) {
            break;
        }
        done += count < 0 ? 0 : (size_t)count;
    }
    (void)fflush(NULL);
    _exit(0); /* the layers belong to the parent now */
}

/* ---- running ---- */

static bool is_ready(const struct graph *graph, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (graph->needs[index][i] && !graph->is_done[i]) {
            return false;
        }
    }
    return graph->is_needed[index] && !graph->is_done[index] && graph->pids[index] == 0;
}

static int begin(struct build *build, struct graph *graph, uint32_t index, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return err_set_errno(err, errno, "make a pipe");
    }
    (void)fflush(NULL);
    graph->pids[index] = fork();
    if (graph->pids[index] == 0) {
        run_and_tell(build, &build->stages[index], ends[1]);
    }
    (void)close(ends[1]);
    graph->fds[index] = ends[0];
    return graph->pids[index] > 0 ? 0 : err_set_errno(err, errno, "start a process for a stage");
}

static int finish(struct build *build, struct graph *graph, uint32_t index, struct err *err)
{
    while (waitpid(graph->pids[index], NULL, 0) < 0 && errno == EINTR) {
    }
    (void)close(graph->fds[index]);
    graph->pids[index] = 0;
    graph->is_done[index] = true;
    return unpack_stage(build, &build->stages[index], buf_bytes(&graph->results[index]), err);
}

/* Until one of the running stages ends; the first failure is kept. */
static void attend(struct build *build, struct graph *graph, int *first_status, struct err *err)
{
    struct pollfd fds[BUILD_STAGES_MAX];
    uint32_t owners[BUILD_STAGES_MAX];
    nfds_t count = 0;
    for (uint32_t i = 0; i < build->stage_count; i++) {
        if (graph->pids[i] > 0) {
            owners[count] = i;
            fds[count++] = (struct pollfd){.fd = graph->fds[i], .events = POLLIN};
        }
    }
    if (poll(fds, count, -1) < 0) {
        return; /* interrupted */
    }
    for (nfds_t k = 0; k < count; k++) {
        struct buf *result = &graph->results[owners[k]];
        if (fds[k].revents == 0) {
            continue;
        }
        ssize_t size = read(fds[k].fd, buf_reserve(result, 65536), 65536);
        buf_commit(result, size > 0 ? (size_t)size : 0);
        if (size == 0) {
            struct err why;
            int status = finish(build, graph, owners[k], &why);
            if (status != 0 && *first_status == 0) {
                *first_status = err_set(err, status, "%s", why.text);
            }
        }
    }
}

static int run_parallel(struct build *build, struct graph *graph, uint32_t target, struct err *err)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int status = 0;
    for (;;) {
        long running = 0;
        for (uint32_t i = 0; i <= target; i++) {
            running += graph->pids[i] > 0 ? 1 : 0;
        }
        for (uint32_t i = 0; i <= target && status == 0 && running < processors; i++) {
            if (is_ready(graph, i)) {
                status = begin(build, graph, i, err);
                running++;
            }
        }
        if (running == 0) {
            return status;
        }
        attend(build, graph, &status, err);
    }
}

int build_stages_run(struct build *build, uint32_t target, struct err *err)
{
    struct graph *graph = mem_zalloc(sizeof(*graph));
    mark(build, graph, target);
    int status = 0;
    if (graph->count == 1) {
        status = build_stage_run(build, &build->stages[target], err);
    } else {
        build->is_parallel = true;
        status = run_parallel(build, graph, target, err);
    }
    for (uint32_t i = 0; i < build->stage_count; i++) {
        buf_deinit(&graph->results[i]);
    }
    mem_free(graph);
    return status;
}
