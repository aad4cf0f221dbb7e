#include "base/crash.h"

#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/exit_code.h"

/* In a handler: no heap, no stdio, no locks. So the line is put together here, by hand, in memory
 * that is there from the start. */
enum { LINE_BYTES_MAX = 4096, FRAMES_MAX = 48, STACK_BYTES = 64 << 10, CHECK_BYTES_MAX = 512 };

static struct {
    const char *program; /* NULL: not installed */
    int fds[CRASH_OUTPUTS_MAX];
    unsigned count;
    uintptr_t first; /* addresses of the program's own code */
    uintptr_t end;
    char check[CHECK_BYTES_MAX]; /* what has failed; "": nothing */
    volatile sig_atomic_t is_crashing;
} crash;

struct line {
    char text[LINE_BYTES_MAX];
    size_t size;
};

static void put_char(struct line *line, char c)
{
    if (line->size < sizeof line->text) {
        line->text[line->size++] = c;
    }
}

static void put(struct line *line, const char *text)
{
    for (; *text != '\0'; text++) {
        put_char(line, *text);
    }
}

/* Between quotes: what JSON forbids there is left out. */
static void put_quoted(struct line *line, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            put_char(line, '\\');
        }
        if ((unsigned char)*text >= ' ') {
            put_char(line, *text);
        }
    }
}

static void put_number(struct line *line, uint64_t value, unsigned base, unsigned digits_min)
{
    char digits[24];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while ((value != 0 || count < digits_min) && count < sizeof digits);
    while (count > 0) {
        put_char(line, digits[--count]);
    }
}

/* gmtime_r takes a lock; this is the calendar of Hinnant's "chrono-compatible low-level date
 * algorithms". */
static void put_time(struct line *line)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seconds = (uint64_t)now.tv_sec;
    uint64_t days = seconds / 86400 + 719468; /* since 0000-03-01 */
    uint64_t era = days / 146097;
    uint64_t of_era = days % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153; /* from March */
    uint64_t day = of_year - (153 * month + 2) / 5 + 1;
    bool is_next_year = month >= 10;
    put_number(line, year + era * 400 + (is_next_year ? 1 : 0), 10, 4);
    put_char(line, '-');
    put_number(line, is_next_year ? month - 9 : month + 3, 10, 2);
    put_char(line, '-');
    put_number(line, day, 10, 2);
    put_char(line, 'T');
    put_number(line, seconds / 3600 % 24, 10, 2);
    put_char(line, ':');
    put_number(line, seconds / 60 % 60, 10, 2);
    put_char(line, ':');
    put_number(line, seconds % 60, 10, 2);
    put_char(line, '.');
    put_number(line, (uint64_t)now.tv_nsec / 1000, 10, 6);
    put_char(line, 'Z');
}

static const char *name_of(int number)
{
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGILL:
        return "SIGILL";
    case SIGFPE:
        return "SIGFPE";
    default:
        return "SIGABRT";
    }
}

static void put_backtrace(struct line *line)
{
    void *frames[FRAMES_MAX];
    int count = backtrace(frames, FRAMES_MAX);
    for (int i = 0; i < count; i++) {
        uintptr_t at = (uintptr_t)frames[i];
        put(line, i == 0 ? "\"" : ",\"");
        if (at >= crash.first && at < crash.end) {
            put_quoted(line, crash.program);
            put(line, "+");
            at -= crash.first;
        }
        put(line, "0x");
        put_number(line, at, 16, 1);
        put(line, "\"");
    }
}

static bool wants_core(void)
{
    struct rlimit limit = {0};
    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur > 0;
}

static void on_fatal(int number)
{
    static struct line line;
    if (crash.is_crashing != 0) {
        _exit(EXIT_CRASHED); /* once is enough, and a second time would only repeat itself */
    }
    crash.is_crashing = 1;
    line.size = 0;
    put(&line, "{\"level\":\"fatal\",\"ts\":\"");
    put_time(&line);
    put(&line, "\",\"caller\":\"base/crash.c\",\"msg\":\"crashed\",\"signal\":\"");
    put(&line, name_of(number));
    if (crash.check[0] != '\0') {
        put(&line, "\",\"check\":\"");
        put_quoted(&line, crash.check);
    }
    put(&line, "\",\"backtrace\":[");
    put_backtrace(&line);
    put(&line, "],\"exit-code\":");
    put_number(&line, EXIT_CRASHED, 10, 1);
    put(&line, "}\n");
    for (unsigned i = 0; i < crash.count; i++) {
        ssize_t written = write(crash.fds[i], line.text, line.size);
        (void)written; /* nobody is left to be told */
    }
    if (wants_core()) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    _exit(EXIT_CRASHED);
}

/* In place of check.c's own, which prints: it becomes part of the line. */
void check_report(const char *file, int line, const char *expression)
{
    if (crash.program == NULL) {
        fprintf(stderr, "%s:%d: check failed: %s\n", file, line, expression);
        return;
    }
    (void)snprintf(crash.check, sizeof crash.check, "%s:%d: %s", file, line, expression);
}

/* The first object is the program. */
static int note_code(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    crash.first = (uintptr_t)info->dlpi_addr;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            uintptr_t end = crash.first + (uintptr_t)info->dlpi_phdr[i].p_vaddr +
                            (uintptr_t)info->dlpi_phdr[i].p_memsz;
            crash.end = end > crash.end ? end : crash.end;
        }
    }
    return 1;
}

void crash_install(const char *program, const int *fds, unsigned count)
{
    static uint8_t stack[STACK_BYTES]; /* the own one may be what overflowed */
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    void *first[1];
    (void)backtrace(first, 1); /* loads its library now: in a handler it could not */
    (void)dl_iterate_phdr(note_code, NULL);
    crash.count = count < CRASH_OUTPUTS_MAX ? count : CRASH_OUTPUTS_MAX;
    memcpy(crash.fds, fds, crash.count * sizeof fds[0]);
    crash.program = program;
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    CHECK(sigaltstack(&other, NULL) == 0);
    struct sigaction action = {.sa_handler = on_fatal, .sa_flags = (int)(SA_ONSTACK | SA_NODEFER)};
    (void)sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        CHECK(sigaction(signals[i], &action, NULL) == 0);
    }
}
