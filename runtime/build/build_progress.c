/* build_progress.c - what a build says: a line for each step with its time on a terminal, Docker's
 * plain lines in a log. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/build/build.h"
#include "runtime/words/words.h"

enum { OUTPUT_KEPT = 16 << 10, TEXT_SHOWN = 70 };

void build_say(const struct build *build, const char *format, ...)
{
    va_list arguments;
    if (build->options->is_quiet || build->options->is_terminal) {
        return;
    }
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)fflush(stdout);
}

void build_now(const struct build *build, char *out)
{
    time_t seconds = (time_t)build->options->epoch_s;
    struct tm utc;
    if (seconds < 0) {
        format_now(out);
        return;
    }
    gmtime_r(&seconds, &utc);
    (void)strftime(out, 40, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static void print_title(const struct build *build, const struct build_stage *stage, char *out,
                        size_t room)
{
    if (stage->name[0] != '\0') {
        (void)snprintf(out, room, "[%.40s %u/%u]", stage->name, build->step_number,
                       stage->end - stage->first);
    } else {
        (void)snprintf(out, room, "[%u/%u]", build->step_number, stage->end - stage->first);
    }
}

void build_step_begin(struct build *build, const struct build_stage *stage,
                      const struct dockerfile_instruction *instruction)
{
    build->step_number = build->now == stage ? build->step_number + 1 : 1;
    build->now = stage;
    build->step_start_ms = clock_monotonic_ms();
    build->was_cached = false;
    buf_clear(&build->step_output);
    if (!build->options->is_terminal) {
        uint32_t number = (uint32_t)(instruction - build->file.instructions) + 1;
        char prefix[64] = "";
        if (build->is_parallel && stage->name[0] != '\0') {
            (void)snprintf(prefix, sizeof(prefix), "[%.50s] ", stage->name);
        } else if (build->is_parallel) {
            (void)snprintf(prefix, sizeof(prefix), "[stage %u] ",
                           (uint32_t)(stage - build->stages));
        }
        build_say(build, "%sStep %u/%u : %s %s\n", prefix, number, build->file.count,
                  dockerfile_kind_name(instruction->kind), instruction->text);
    } else if (!build->is_parallel && !build->options->is_quiet) {
        char title[64];
        print_title(build, stage, title, sizeof(title));
        printf(" => %s %s %.*s …", title, dockerfile_kind_name(instruction->kind), TEXT_SHOWN,
               instruction->text);
        (void)fflush(stdout);
    }
}

void build_step_end(struct build *build, const struct build_stage *stage,
                    const struct dockerfile_instruction *instruction, bool is_good)
{
    char title[64];
    double seconds = (double)(clock_monotonic_ms() - build->step_start_ms) / 1000;
    bool does_work = instruction->kind == DOCKERFILE_RUN || instruction->kind == DOCKERFILE_COPY ||
                     instruction->kind == DOCKERFILE_ADD;
    if (build->options->is_quiet) {
        return;
    }
    if (!build->options->is_terminal) {
        if (is_good && does_work && !build->was_cached) {
            build_say(build, " ---> done in %.2fs\n", seconds);
        }
        return;
    }
    print_title(build, stage, title, sizeof(title));
    printf("%s => %s%s %s %.*s%s%.1fs\n", build->is_parallel ? "" : "\r\033[K",
           !is_good            ? "ERROR "
           : build->was_cached ? "CACHED "
                               : "",
           title, dockerfile_kind_name(instruction->kind), TEXT_SHOWN, instruction->text,
           strlen(instruction->text) > TEXT_SHOWN ? "…  " : "  ", seconds);
    if (!is_good) {
        (void)fwrite(buf_bytes(&build->step_output).data, 1, buf_size(&build->step_output), stdout);
    }
    (void)fflush(stdout);
}

static void relay(struct build *build, const char *data, size_t size)
{
    if (build->options->is_terminal) {
        buf_append(&build->step_output, data, size);
        if (buf_size(&build->step_output) > OUTPUT_KEPT) {
            buf_consume(&build->step_output, buf_size(&build->step_output) - OUTPUT_KEPT);
        }
        return;
    }
    FILE *out = build->options->is_quiet ? stderr : stdout;
    (void)fwrite(data, 1, size, out);
    (void)fflush(out);
}

/* Whole lines at once, so that those of stages that run at the same time do not mix. */
void build_step_relay(struct build *build, int fd)
{
    char data[16384];
    size_t used = 0;
    for (;;) {
        ssize_t count = read(fd, data + used, sizeof(data) - used);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            break;
        }
        used += (size_t)count;
        const char *newline = memrchr(data, '\n', used);
        size_t whole =
            newline == NULL ? (used == sizeof(data) ? used : 0) : (size_t)(newline - data) + 1;
        relay(build, data, whole);
        memmove(data, data + whole, used - whole);
        used -= whole;
    }
    relay(build, data, used);
}
