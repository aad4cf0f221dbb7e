#include "runtime/words/health.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/image/in_root.h"
#include "runtime/image/json.h"
#include "runtime/words/session.h"
#include "runtime/words/spec.h"
#include "runtime/words/words.h"

static const char file_name[] = "health.json";
static const char *const status_texts[] = {"starting", "healthy", "unhealthy"};

/* ---- rules ---- */

struct health_rules health_rules_read(const json_t *check)
{
    enum { NS_PER_MS = 1000000, DEFAULT_MS = 30000, RETRIES = 3 };
    struct health_rules rules = {
        .interval_ms = json_get_integer(check, "Interval", 0) / NS_PER_MS,
        .timeout_ms = json_get_integer(check, "Timeout", 0) / NS_PER_MS,
        .start_period_ms = json_get_integer(check, "StartPeriod", 0) / NS_PER_MS,
        .start_interval_ms = json_get_integer(check, "StartInterval", 0) / NS_PER_MS,
        .retries = (int)json_get_integer(check, "Retries", 0),
    };
    rules.interval_ms = rules.interval_ms > 0 ? rules.interval_ms : DEFAULT_MS;
    rules.timeout_ms = rules.timeout_ms > 0 ? rules.timeout_ms : DEFAULT_MS;
    rules.retries = rules.retries > 0 ? rules.retries : RETRIES;
    return rules;
}

int64_t health_advance(const struct health_rules *rules, struct health_state *state, int64_t now_ms,
                       bool is_good)
{
    enum { FIRST_MS = 100, STARTING_MAX_MS = 5000 };
    state->probes++;
    if (is_good) {
        state->status = HEALTH_HEALTHY;
        state->streak = 0;
        state->last_counted_ms = now_ms;
        return rules->interval_ms;
    }
    int64_t due = state->last_counted_ms + rules->interval_ms;
    bool is_starting = state->status == HEALTH_STARTING;
    if (is_starting && state->streak == 0) {
        due += rules->start_period_ms;
    }
    if (!is_starting || now_ms >= due) {
        state->last_counted_ms = now_ms;
        state->streak++;
    }
    if (state->streak >= rules->retries) {
        state->status = HEALTH_UNHEALTHY;
    }
    if (state->status != HEALTH_STARTING) {
        return rules->interval_ms;
    }
    if (rules->start_interval_ms > 0) {
        return rules->start_interval_ms;
    }
    int64_t quick = state->probes > 10 ? STARTING_MAX_MS : (int64_t)FIRST_MS << (state->probes / 2);
    quick = quick > STARTING_MAX_MS ? STARTING_MAX_MS : quick;
    return quick < rules->interval_ms ? quick : rules->interval_ms;
}

/* ---- what is on disk ---- */

static const json_t *check_of(const struct container *container)
{
    return json_object_get(container_config(container), "Healthcheck");
}

bool health_is_wanted(const struct container *container)
{
    const json_t *test = json_object_get(check_of(container), "Test");
    const char *first = json_string_value(json_array_get(test, 0));
    return first != NULL && strcmp(first, "NONE") != 0 && json_array_size(test) > 1;
}

json_t *health_describe(const struct container *container)
{
    enum { SIZE_MAX_TEXT = 1 << 20 };
    CLEANUP(buf) struct buf text = BUF_INIT;
    json_t *document = NULL;
    if (!health_is_wanted(container)) {
        return NULL;
    }
    bool is_read =
        in_root_read_file(container->directory_fd, file_name, SIZE_MAX_TEXT, &text) == 0 &&
        json_parse(buf_bytes(&text), file_name, &document, NULL) == 0;
    return is_read ? document
                   : json_pack("{ss si s[]}", "Status", status_texts[HEALTH_STARTING],
                               "FailingStreak", 0, "Log");
}

void health_read(const struct container *container, char *out)
{
    CLEANUP(json) json_t *document = health_describe(container);
    (void)snprintf(out, HEALTH_TEXT_SIZE, "%.15s", json_get_text(document, "Status", ""));
}

struct prober {
    struct container *container;
    struct health_rules rules;
    struct health_state state;
    json_t *log; /* the last five probes */
};

static void write_health(struct prober *prober)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json)
    json_t *document = json_pack("{ss si sO}", "Status", status_texts[prober->state.status],
                                 "FailingStreak", prober->state.streak, "Log", prober->log);
    json_write(document, false, &text);
    int ignored =
        store_replace_file(prober->container->directory_fd, file_name, buf_bytes(&text), NULL);
    (void)ignored; /* the container may be going away */
}

/* ---- probing ---- */

static int make_process(const struct container *container, struct buf *out)
{
    enum { SPEC_SIZE_MAX = 8 << 20, WORDS_MAX = 200 };
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(json) json_t *spec = NULL;
    const json_t *test = json_object_get(check_of(container), "Test");
    const json_t *shell = json_object_get(container_config(container), "Shell");
    const char *words[WORDS_MAX];
    size_t count = 0;
    size_t first = 1;
    if (strcmp(json_string_value(json_array_get(test, 0)), "CMD-SHELL") == 0) {
        for (size_t i = 0; i < json_array_size(shell) && count < WORDS_MAX; i++) {
            words[count++] = json_string_value(json_array_get(shell, i));
        }
        if (count == 0) {
            words[count++] = "/bin/sh";
            words[count++] = "-c";
        }
    } else if (strcmp(json_string_value(json_array_get(test, 0)), "CMD") != 0) {
        first = 0; /* a list without its kind */
    }
    for (size_t i = first; i < json_array_size(test) && count < WORDS_MAX; i++) {
        words[count++] = json_string_value(json_array_get(test, i));
    }
    int status = in_root_read_file(container->directory_fd, "config.json", SPEC_SIZE_MAX, &text);
    if (status != 0 || json_parse(buf_bytes(&text), "config.json", &spec, NULL) != 0) {
        return ERR_IO;
    }
    const struct spec_exec exec = {.arguments = words, .argument_count = count};
    CLEANUP(json) json_t *process = spec_make_exec(spec, &exec);
    json_write(process, false, out);
    return 0;
}

/* Until the process of the probe ends; ERR_TIMEOUT after it was killed. */
static int follow(struct session *session, int64_t timeout_ms, struct buf *output, int *ret_code,
                  struct err *err)
{
    uint64_t deadline = clock_monotonic_ms() + (uint64_t)timeout_ms;
    for (;;) {
        Coracle__Shim__ShimReply *reply = NULL;
        uint64_t now = clock_monotonic_ms();
        int left = now >= deadline ? 0 : (int)(deadline - now > 60000 ? 60000 : deadline - now);
        int status = shim_client_receive(&session->stream, left, &reply, err);
        if (status == ERR_TIMEOUT && clock_monotonic_ms() >= deadline) {
            struct err ignored;
            int killed =
                shim_client_kill(&session->control, SIGKILL, false, session->exec_id, &ignored);
            (void)killed; /* it may just have ended */
            return ERR_TIMEOUT;
        }
        if (status == ERR_TIMEOUT) {
            continue;
        }
        if (status != 0) {
            return status;
        }
        bool has_ended = reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_EXITED;
        if (has_ended) {
            *ret_code = reply->exited->exit_code;
        } else if (reply->result_case == CORACLE__SHIM__SHIM_REPLY__RESULT_OUTPUT &&
                   buf_size(output) < HEALTH_OUTPUT_MAX) {
            size_t room = HEALTH_OUTPUT_MAX - buf_size(output);
            size_t size = reply->output->data.len;
            buf_append(output, reply->output->data.data, size < room ? size : room);
        }
        coracle__shim__shim_reply__free_unpacked(reply, NULL);
        if (has_ended) {
            return 0;
        }
    }
}

static int run_probe(const struct prober *prober, struct buf *output, int *ret_code)
{
    CLEANUP(buf) struct buf process = BUF_INIT;
    struct session session = {.has_input = false};
    struct err err = {.code = 0};
    int status = make_process(prober->container, &process);
    if (status != 0 || (status = session_open(&session, prober->container, &err)) != 0) {
        return status;
    }
    status = session_exec(&session, buf_text(&process), true, &err);
    if (status == 0) {
        status = follow(&session, prober->rules.timeout_ms, output, ret_code, &err);
    } else {
        buf_append_text(output, err.text);
        *ret_code = -1;
        status = 0;
    }
    if (status == ERR_TIMEOUT) {
        buf_append_format(output, "Health check exceeded timeout (%lldms)",
                          (long long)prober->rules.timeout_ms);
        *ret_code = -1;
        status = 0;
    }
    session_close(&session);
    return status;
}

static void note(struct prober *prober, const char *start, int code, struct buf *output)
{
    char now[40];
    format_now(now);
    if (json_array_size(prober->log) == 5) {
        json_array_remove(prober->log, 0);
    }
    json_array_append_new(prober->log,
                          json_pack("{ss ss si so}", "Start", start, "End", now, "ExitCode", code,
                                    "Output", json_text(buf_text(output))));
}

static void probe_for_ever(struct prober *prober)
{
    uint64_t start_ms = clock_monotonic_ms();
    for (;;) {
        CLEANUP(buf) struct buf output = BUF_INIT;
        char start[40];
        int code = -1;
        format_now(start);
        if (run_probe(prober, &output, &code) != 0) {
            return; /* the container has ended */
        }
        int64_t now_ms = (int64_t)(clock_monotonic_ms() - start_ms);
        int64_t pause_ms = health_advance(&prober->rules, &prober->state, now_ms, code == 0);
        note(prober, start, code, &output);
        write_health(prober);
        struct timespec pause = {.tv_sec = pause_ms / 1000,
                                 .tv_nsec = (long)(pause_ms % 1000) * 1000000};
        while (nanosleep(&pause, &pause) != 0 && errno == EINTR) {
        }
    }
}

pid_t health_spawn(const struct container *container)
{
    pid_t parent = getpid();
    if (!health_is_wanted(container)) {
        return -1;
    }
    struct container copy = *container;
    struct prober prober = {
        .container = &copy,
        .rules = health_rules_read(check_of(container)),
        .log = json_array(),
    };
    write_health(&prober); /* the last run's does not count */
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            (void)prctl(PR_SET_NAME, "kvhealth");
            probe_for_ever(&prober);
        }
        _exit(0);
    }
    json_decref(prober.log);
    return child;
}

void health_stop(pid_t pid)
{
    if (pid > 0) {
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
}
