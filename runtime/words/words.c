#include "runtime/words/words.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int words_main(const struct word *words, const char *program, int argc, char **argv)
{
    if (argc >= 2) {
        for (const struct word *word = words; word->name != NULL; word++) {
            if (strcmp(word->name, argv[1]) == 0) {
                return word->run(argc - 1, argv + 1);
            }
        }
    }
    FILE *out = argc < 2 || strcmp(argv[1], "--help") == 0 ? stdout : stderr;
    if (out == stderr) {
        fprintf(out, "kvctl: unknown command '%s'\n", argv[1]);
    }
    fprintf(out, "Usage: %s COMMAND [OPTIONS] …\nCommands:", program);
    for (const struct word *word = words; word->name != NULL; word++) {
        if (word->name[0] != '-') {
            fprintf(out, " %s", word->name);
        }
    }
    fprintf(out, "\n%s COMMAND --help says more.\n", program);
    return out == stdout ? 0 : EXIT_FAILED;
}

int word_fail(const struct err *err, int code)
{
    if (err->code == ERR_CANCELLED) {
        return 0;
    }
    (void)fflush(stdout);
    fprintf(stderr, "kvctl: %s\n", err->text);
    return code;
}

void format_age(int64_t seconds, char *out)
{
    static const struct {
        int64_t below; /* seconds */
        int64_t unit;
        const char *name;
    } steps[] = {
        {60, 1, "second"},
        {3600, 60, "minute"},
        {48 * 3600, 3600, "hour"},
        {14 * 86400, 86400, "day"},
        {60 * 86400, 7 * 86400, "week"},
        {730 * 86400, 30 * 86400, "month"},
        {INT64_MAX, 365 * 86400, "year"},
    };
    seconds = seconds < 0 ? 0 : seconds;
    if (seconds < 1) {
        (void)snprintf(out, 40, "Less than a second");
        return;
    }
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (seconds < steps[i].below) {
            long long count = (long long)(seconds / steps[i].unit);
            (void)snprintf(out, 40, "%lld %s%s", count, steps[i].name, count == 1 ? "" : "s");
            return;
        }
    }
}

static void format_units(double value, double step, const char *const *units, size_t unit_count,
                         char *out)
{
    size_t unit = 0;
    while (value >= step && unit + 1 < unit_count) {
        value /= step;
        unit++;
    }
    (void)snprintf(out, 16, "%.*f%s",
                   unit == 0     ? 0
                   : value < 10  ? 2
                   : value < 100 ? 1
                                 : 0,
                   value, units[unit]);
}

void format_size(int64_t bytes, char *out)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    format_units((double)bytes, 1000, units, sizeof(units) / sizeof(units[0]), out);
}

void format_memory(int64_t bytes, char *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    format_units((double)bytes, 1024, units, sizeof(units) / sizeof(units[0]), out);
}

int64_t parse_time(const char *text)
{
    struct tm utc = {.tm_isdst = 0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    if (rest == NULL) {
        return 0;
    }
    int64_t seconds = timegm(&utc);
    if (*rest == '.') {
        rest += 1 + strspn(rest + 1, "0123456789");
    }
    int hours = 0;
    int minutes = 0;
    if ((*rest == '+' || *rest == '-') && sscanf(rest + 1, "%2d:%2d", &hours, &minutes) == 2) {
        int64_t offset = hours * 3600 + minutes * 60;
        seconds += *rest == '+' ? -offset : offset;
    }
    return seconds;
}

int parse_moment(const char *text, char *out, size_t room, struct err *err)
{
    char *end = NULL;
    double value = strtod(text, &end);
    int64_t unit = *end == 's'   ? 1
                   : *end == 'm' ? 60
                   : *end == 'h' ? 3600
                   : *end == 'd' ? 86400
                                 : 0;
    if (parse_time(text) != 0) {
        (void)snprintf(out, room, "%s", text);
        return 0;
    }
    if (end == text || (unit == 0 && *end != '\0') || (unit != 0 && end[1] != '\0')) {
        return err_set(err, ERR_INVALID, "'%.60s' is neither a time nor like 10m", text);
    }
    time_t moment = unit == 0 ? (time_t)value : time(NULL) - (time_t)(value * (double)unit);
    struct tm utc;
    gmtime_r(&moment, &utc);
    (void)strftime(out, room, "%Y-%m-%dT%H:%M:%S", &utc);
    return 0;
}

void format_now(char *out)
{
    struct timespec now;
    struct tm utc;
    char seconds[24];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    (void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out, 40, "%s.%09ldZ", seconds, now.tv_nsec);
}

int parse_size(const char *text, int64_t *ret, struct err *err)
{
    char *end = NULL;
    double value = strtod(text, &end);
    int64_t unit = 1;
    switch (tolower((unsigned char)*end)) {
    case 'b':
    case '\0':
        break;
    case 'k':
        unit = INT64_C(1) << 10;
        break;
    case 'm':
        unit = INT64_C(1) << 20;
        break;
    case 'g':
        unit = INT64_C(1) << 30;
        break;
    case 't':
        unit = INT64_C(1) << 40;
        break;
    default:
        unit = 0;
        break;
    }
    const char *rest = *end == '\0' ? end : end + 1;
    rest += tolower((unsigned char)*rest) == 'i' ? 1 : 0;
    rest += rest > end && tolower((unsigned char)*rest) == 'b' ? 1 : 0;
    if (end == text || unit == 0 || *rest != '\0' || !(value >= 0) || value * (double)unit > 9e18) {
        return err_set(err, ERR_INVALID, "'%.100s' is not a size (512, 64k, 100m, 1.5g)", text);
    }
    *ret = (int64_t)(value * (double)unit);
    return 0;
}

void find_sibling(const char *program, char *out)
{
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size > 0) {
        self[size] = '\0';
        char *slash = strrchr(self, '/');
        if (slash != NULL) {
            *slash = '\0';
            int length = snprintf(out, PATH_MAX, "%s/%s", self, program);
            if (length > 0 && length < PATH_MAX && access(out, X_OK) == 0) {
                return;
            }
        }
    }
    (void)snprintf(out, PATH_MAX, "%s", program);
}

int exec_sibling(const char *program, char **argv, struct err *err)
{
    char path[PATH_MAX];
    find_sibling(program, path);
    (void)execvp(path, argv);
    return err_set_errno(err, errno, "start '%s'", program);
}
