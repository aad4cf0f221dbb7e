#include "orchestrator/agent/program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "orchestrator/objects/tree.h"

enum { LINE_MAX_BYTES = 1000, ENVIRONMENT_MAX = 128 };

struct queue {
    struct list waiting;
    unsigned running;
    unsigned limit;
};

struct programs {
    uv_loop_t *loop;
    char *bin;
    char *store;
    char *run;
    struct queue pods;
    struct queue pulls;
    bool is_freed;
    unsigned alive; /* runs that are not freed yet */
};

/* One program from the wish to its end: freed when its three pipes and its process are closed. */
struct run {
    struct programs *programs;
    struct queue *queue;
    struct list link;
    uv_process_t process;
    uv_pipe_t in;
    uv_pipe_t out;
    uv_pipe_t err;
    uv_write_t write;
    char *arguments[5];
    char *input;         /* JSON; NULL: none */
    char *docker_config; /* NULL: none */
    struct buf output;
    struct buf errors;
    int64_t exit_status;
    unsigned open; /* handles */
    program_done *done;
    void *context;
    bool is_started;
};

static void start_next(struct queue *queue);

static void run_free(struct run *run)
{
    for (size_t i = 0; i < sizeof(run->arguments) / sizeof(run->arguments[0]); i++) {
        mem_free(run->arguments[i]);
    }
    free(run->input);
    mem_free(run->docker_config);
    buf_deinit(&run->output);
    buf_deinit(&run->errors);
    mem_free(run);
}

static void release(struct programs *programs)
{
    if (--programs->alive == 0 && programs->is_freed) {
        mem_free(programs->bin);
        mem_free(programs->store);
        mem_free(programs->run);
        mem_free(programs);
    }
}

static void report(struct run *run)
{
    CLEANUP(json)
    json_t *answer =
        json_loadb((const char *)buf_bytes(&run->output).data, buf_size(&run->output), 0, NULL);
    const json_t *error = json_object_get(answer, "error");
    if (error != NULL) {
        run->done(run->context, NULL, tree_text_or(error, "reason", "RunContainerError"),
                  tree_text_or(error, "message", ""));
        return;
    }
    if (run->exit_status == 0) {
        run->done(run->context, answer, "", "");
        return;
    }
    const char *text = buf_text(&run->errors);
    size_t size = strcspn(text, "\n");
    CLEANUP(free)
    char *line = mem_printf("%.*s", (int)(size < LINE_MAX_BYTES ? size : LINE_MAX_BYTES), text);
    CLEANUP(free)
    char *plain =
        mem_printf("%s ended with status %lld", run->arguments[1], (long long)run->exit_status);
    const char *prefix = "kvctl: ";
    const char *message = *line == '\0'                                ? plain
                          : strncmp(line, prefix, strlen(prefix)) == 0 ? line + strlen(prefix)
                                                                       : line;
    run->done(run->context, NULL, "", message);
}

static void on_closed(uv_handle_t *handle)
{
    struct run *run = handle->data;
    if (--run->open > 0) {
        return;
    }
    struct programs *programs = run->programs;
    struct queue *queue = run->queue;
    queue->running--;
    if (!programs->is_freed) {
        report(run);
    }
    run_free(run);
    if (!programs->is_freed) {
        start_next(queue);
    }
    release(programs);
}

static void on_ended(uv_process_t *process, int64_t exit_status, int term_signal)
{
    struct run *run = process->data;
    run->exit_status = term_signal != 0 ? 128 + term_signal : exit_status;
    uv_close((uv_handle_t *)process, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct run *run = handle->data;
    struct buf *into = handle == (uv_handle_t *)&run->out ? &run->output : &run->errors;
    (void)suggested;
    *buf = uv_buf_init((char *)buf_reserve(into, 4096), 4096);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct run *run = stream->data;
    struct buf *into = stream == (uv_stream_t *)&run->out ? &run->output : &run->errors;
    (void)buf;
    if (count > 0 && buf_size(into) < PROGRAM_OUTPUT_BYTES_MAX) {
        buf_commit(into, (size_t)count);
    } else if (count < 0) {
        uv_close((uv_handle_t *)stream, on_closed);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct run *run = write->data;
    (void)status; /* its exit status tells */
    uv_close((uv_handle_t *)&run->in, on_closed);
}

extern char **environ;

static size_t make_environment(const struct run *run, char *environment[ENVIRONMENT_MAX])
{
    static const char *const ours[] = {"CORACLE_ROOT=", "CORACLE_RUN=", "DOCKER_CONFIG="};
    size_t count = 0;
    environment[count++] = mem_printf("CORACLE_ROOT=%s", run->programs->store);
    environment[count++] = mem_printf("CORACLE_RUN=%s", run->programs->run);
    if (run->docker_config != NULL) {
        environment[count++] = mem_printf("DOCKER_CONFIG=%s", run->docker_config);
    }
    for (char **at = environ; *at != NULL && count + 1 < ENVIRONMENT_MAX; at++) {
        bool is_ours = false;
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
            is_ours |= strncmp(*at, ours[i], strlen(ours[i])) == 0;
        }
        if (!is_ours) {
            environment[count++] = mem_strdup(*at);
        }
    }
    environment[count] = NULL;
    return count;
}

static void pipe_init(struct run *run, uv_pipe_t *pipe)
{
    uv_pipe_init(run->programs->loop, pipe, 0);
    pipe->data = run;
    run->open++;
}

static void start(struct run *run)
{
    struct programs *programs = run->programs;
    char *environment[ENVIRONMENT_MAX];
    size_t count = make_environment(run, environment);
    pipe_init(run, &run->in);
    pipe_init(run, &run->out);
    pipe_init(run, &run->err);
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&run->in},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&run->out},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&run->err},
    };
    const uv_process_options_t options = {
        .exit_cb = on_ended,
        .file = run->arguments[0],
        .args = run->arguments,
        .env = environment,
        .flags = 0,
        .stdio_count = 3,
        .stdio = stdio,
    };
    run->queue->running++;
    run->is_started = true;
    run->process.data = run;
    run->open++;
    int status = uv_spawn(programs->loop, &run->process, &options);
    for (size_t i = 0; i < count; i++) {
        mem_free(environment[i]);
    }
    if (status != 0) {
        buf_append_format(&run->errors, "start '%s': %s", run->arguments[0], uv_strerror(status));
        run->exit_status = 127;
        uv_close((uv_handle_t *)&run->process, on_closed);
        uv_close((uv_handle_t *)&run->in, on_closed);
        uv_close((uv_handle_t *)&run->out, on_closed);
        uv_close((uv_handle_t *)&run->err, on_closed);
        return;
    }
    uv_read_start((uv_stream_t *)&run->out, on_alloc, on_read);
    uv_read_start((uv_stream_t *)&run->err, on_alloc, on_read);
    uv_buf_t input = uv_buf_init(run->input, run->input == NULL ? 0 : (unsigned)strlen(run->input));
    run->write.data = run;
    if (run->input == NULL ||
        uv_write(&run->write, (uv_stream_t *)&run->in, &input, 1, on_written) != 0) {
        uv_close((uv_handle_t *)&run->in, on_closed);
    }
}

static void start_next(struct queue *queue)
{
    while (queue->running < queue->limit && !list_is_empty(&queue->waiting)) {
        start(container_of(list_pop_front(&queue->waiting), struct run, link));
    }
}

static struct run *run_new(struct programs *programs, struct queue *queue, program_done *done,
                           void *context)
{
    struct run *run = mem_zalloc(sizeof(*run));
    run->programs = programs;
    run->queue = queue;
    run->done = done;
    run->context = context;
    buf_init(&run->output);
    buf_init(&run->errors);
    list_init(&run->link);
    programs->alive++;
    list_push_back(&queue->waiting, &run->link);
    return run;
}

void programs_pod(struct programs *programs, const char *command, json_t *take_request,
                  program_done *done, void *context)
{
    struct run *run = run_new(programs, &programs->pods, done, context);
    run->arguments[0] = mem_printf("%s/kvpod", programs->bin);
    run->arguments[1] = mem_strdup(command);
    run->input = json_dumps(take_request, JSON_COMPACT);
    json_decref(take_request);
    start_next(&programs->pods);
}

void programs_pull(struct programs *programs, const char *image, const char *docker_config,
                   program_done *done, void *context)
{
    struct run *run = run_new(programs, &programs->pulls, done, context);
    run->arguments[0] = mem_printf("%s/kvimage", programs->bin);
    run->arguments[1] = mem_strdup("pull");
    run->arguments[2] = mem_strdup("--quiet");
    run->arguments[3] = mem_strdup(image);
    run->docker_config = docker_config == NULL ? NULL : mem_strdup(docker_config);
    start_next(&programs->pulls);
}

struct programs *programs_new(uv_loop_t *loop, const char *bin, const char *store, const char *run)
{
    struct programs *programs = mem_zalloc(sizeof(*programs));
    programs->loop = loop;
    programs->bin = mem_strdup(bin);
    programs->store = mem_strdup(store);
    programs->run = mem_strdup(run);
    programs->pods.limit = PROGRAMS_AT_ONCE;
    programs->pulls.limit = PULLS_AT_ONCE;
    programs->alive = 1;
    list_init(&programs->pods.waiting);
    list_init(&programs->pulls.waiting);
    return programs;
}

void programs_free(struct programs *programs)
{
    struct queue *const queues[] = {&programs->pods, &programs->pulls};
    programs->is_freed = true;
    for (size_t i = 0; i < 2; i++) {
        for (struct list *item; (item = list_pop_front(&queues[i]->waiting)) != NULL;) {
            run_free(container_of(item, struct run, link));
            programs->alive--;
        }
    }
    release(programs);
}
