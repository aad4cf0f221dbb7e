/* wait.c - the conditions of depends_on. */
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/compose/compose.h"
#include "runtime/compose/service.h"
#include "runtime/image/json.h"
#include "runtime/words/words.h"

enum waiting { WAITING_MET, WAITING_GOES_ON, WAITING_FAILED };

static bool runs(const char *status)
{
    return strcmp(status, "running") == 0 || strcmp(status, "restarting") == 0 ||
           strcmp(status, "paused") == 0;
}

static enum waiting judge(const json_t *about, const char *condition, struct err *err)
{
    const char *status = json_get_text(about, "Status", "");
    const char *health = json_get_text(about, "Health", "");
    const char *name = json_get_text(about, "Name", "");
    int code = (int)json_get_integer(about, "ExitCode", 0);
    bool has_exited = strcmp(status, "exited") == 0 || strcmp(status, "dead") == 0;
    int ignored = 0;
    if (strcmp(condition, "service_completed_successfully") == 0) {
        if (has_exited && code != 0) {
            ignored =
                err_set(err, ERR_IO, "container %s was to complete successfully and exited with %d",
                        name, code);
        }
        (void)ignored; /* the result says it */
        return !has_exited ? WAITING_GOES_ON : code == 0 ? WAITING_MET : WAITING_FAILED;
    }
    bool wants_health = strcmp(condition, "service_healthy") == 0;
    bool wants_either = strcmp(condition, "running_or_healthy") == 0;
    if (has_exited && (wants_health || wants_either)) {
        ignored = err_set(err, ERR_IO, "container %s exited with %d", name, code);
        return wants_either && code == 0 ? WAITING_MET : WAITING_FAILED;
    }
    if (wants_health && health[0] == '\0') {
        ignored = err_set(err, ERR_INVALID,
                          "container %s has no health check, and another service waits for it to "
                          "be healthy",
                          name);
        return WAITING_FAILED;
    }
    if ((wants_health || wants_either) && strcmp(health, "unhealthy") == 0) {
        ignored = err_set(err, ERR_IO, "container %s is unhealthy", name);
        return WAITING_FAILED;
    }
    if (wants_health || (wants_either && health[0] != '\0')) {
        return strcmp(health, "healthy") == 0 ? WAITING_MET : WAITING_GOES_ON;
    }
    return runs(status) || has_exited ? WAITING_MET : WAITING_GOES_ON;
}

/* Watches the directories of the service's containers, where state and health are replaced. */
static void watch(const struct compose *compose, const char *service, int notify)
{
    for (size_t i = 0; i < json_array_size(compose->containers); i++) {
        const json_t *about = json_array_get(compose->containers, i);
        if (strcmp(json_get_text(about, "Service", ""), service) == 0) {
            CLEANUP(free)
            char *path =
                mem_printf("%s/containers/%s", compose->store.root, json_get_text(about, "Id", ""));
            (void)inotify_add_watch(notify, path, IN_MOVED_TO | IN_CREATE | IN_CLOSE_WRITE);
        }
    }
}

static enum waiting judge_all(const struct compose *compose, const char *service,
                              const char *condition, struct err *err)
{
    enum waiting result = WAITING_MET;
    for (size_t i = 0; i < json_array_size(compose->containers); i++) {
        const json_t *about = json_array_get(compose->containers, i);
        if (strcmp(json_get_text(about, "Service", ""), service) != 0 ||
            json_get_flag(about, "Oneoff")) {
            continue;
        }
        enum waiting one = judge(about, condition, err);
        if (one == WAITING_FAILED) {
            return one;
        }
        result = one == WAITING_GOES_ON ? one : result;
    }
    return result;
}

int wait_for_condition(struct compose *compose, const char *service, const char *condition,
                       int64_t timeout_ms, struct err *err)
{
    enum { CHECK_MS = 300 };
    uint64_t deadline = clock_monotonic_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
    CLEANUP(close_fd) int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    for (;;) {
        char events[4096];
        int status = compose_refresh(compose, err);
        if (status != 0) {
            return status;
        }
        watch(compose, service, notify);
        enum waiting result = judge_all(compose, service, condition, err);
        if (result == WAITING_MET) {
            return 0;
        }
        if (result == WAITING_FAILED) {
            return err->code;
        }
        if (timeout_ms >= 0 && clock_monotonic_ms() >= deadline) {
            return err_set(err, ERR_TIMEOUT, "service %s is not ready in time", service);
        }
        struct pollfd poll_fd = {.fd = notify, .events = POLLIN};
        (void)poll(&poll_fd, 1, CHECK_MS);
        while (read(notify, events, sizeof(events)) > 0) {
        }
    }
}
