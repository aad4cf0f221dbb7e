#include "orchestrator/controllers/cron.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "orchestrator/objects/timestamp.h"

enum { SEARCH_DAYS_MAX = 5 * 366, DAY_SECONDS = 86400, STEP_MAX = 100 };

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct field {
    int low;
    int high;
    const char *const *names;
    int name_count;
    int name_base;
};

/* A number or a name at *text; -1 for neither. Moves *text. */
static int read_value(const char **text, const struct field *field)
{
    for (int i = 0; i < field->name_count; i++) {
        if (strncasecmp(*text, field->names[i], 3) == 0) {
            *text += 3;
            return i + field->name_base;
        }
    }
    if (!isdigit((unsigned char)**text)) {
        return -1;
    }
    char *end = NULL;
    long value = strtol(*text, &end, 10);
    *text = end;
    return value > 100 ? -1 : (int)value;
}

/* One part of a list: "*", "a", "a-b", each with "/step". */
static bool read_part(const char **text, const struct field *field, uint64_t *bits)
{
    int first = field->low;
    int last = field->high;
    bool is_single = false;
    if (**text == '*' || **text == '?') {
        (*text)++;
    } else {
        first = read_value(text, field);
        last = first;
        is_single = true;
        if (**text == '-') {
            (*text)++;
            last = read_value(text, field);
            is_single = false;
        }
    }
    int step = 1;
    if (**text == '/') {
        (*text)++;
        step = read_value(text, &(struct field){.high = STEP_MAX});
        last = is_single ? field->high : last;
    }
    if (first < 0 || last >= 64 || step > STEP_MAX || first < field->low || last > field->high ||
        first > last || step < 1) {
        return false;
    }
    for (int value = first; value <= last; value += step) {
        *bits |= (uint64_t)1 << value;
    }
    return true;
}

static bool read_field(const char **text, const struct field *field, uint64_t *bits)
{
    *text += strspn(*text, " \t");
    for (;;) {
        if (!read_part(text, field, bits)) {
            return false;
        }
        if (**text != ',') {
            return **text == '\0' || **text == ' ' || **text == '\t';
        }
        (*text)++;
    }
}

static const char *expand(const char *text)
{
    static const struct {
        const char *name;
        const char *schedule;
    } names[] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
        {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
        {"@hourly", "0 * * * *"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].name, text) == 0) {
            return names[i].schedule;
        }
    }
    return text;
}

static bool starts_with_star(const char *text)
{
    text += strspn(text, " \t");
    return *text == '*' || *text == '?';
}

int cron_parse(const char *text, struct cron *ret)
{
    static const struct field minute = {.low = 0, .high = 59};
    static const struct field hour = {.low = 0, .high = 23};
    static const struct field day = {.low = 1, .high = 31};
    static const struct field month = {
        .low = 1, .high = 12, .names = month_names, .name_count = 12, .name_base = 1};
    static const struct field weekday = {.low = 0, .high = 7, .names = day_names, .name_count = 7};
    struct cron cron = {0};
    text = expand(text);
    if (!read_field(&text, &minute, &cron.minutes) || !read_field(&text, &hour, &cron.hours)) {
        return ERR_MALFORMED;
    }
    cron.any_day = starts_with_star(text);
    if (!read_field(&text, &day, &cron.days) || !read_field(&text, &month, &cron.months)) {
        return ERR_MALFORMED;
    }
    cron.any_weekday = starts_with_star(text);
    if (!read_field(&text, &weekday, &cron.weekdays) || text[strspn(text, " \t")] != '\0') {
        return ERR_MALFORMED;
    }
    cron.weekdays |= cron.weekdays >> 7; /* 7 is Sunday, too */
    *ret = cron;
    return 0;
}

static bool has_bit(uint64_t bits, int value)
{
    return (bits >> value & 1) != 0;
}

static bool day_matches(const struct cron *cron, const struct civil_time *at)
{
    bool day = has_bit(cron->days, at->day);
    bool weekday = has_bit(cron->weekdays, at->weekday);
    /* When both are restricted, either will do (crontab(5)). */
    bool matches = cron->any_day || cron->any_weekday ? day && weekday : day || weekday;
    return matches && has_bit(cron->months, at->month);
}

int64_t cron_next(const struct cron *cron, int64_t seconds)
{
    int64_t minute = seconds - (seconds % 60 + 60) % 60 + 60;
    for (int days = 0; days < SEARCH_DAYS_MAX; days++) {
        struct civil_time at = civil_from_seconds(minute);
        int64_t midnight = minute - at.hour * 3600 - at.minute * 60;
        if (day_matches(cron, &at)) {
            for (; minute < midnight + DAY_SECONDS; minute += 60) {
                at = civil_from_seconds(minute);
                if (has_bit(cron->hours, at.hour) && has_bit(cron->minutes, at.minute)) {
                    return minute;
                }
            }
        }
        minute = midnight + DAY_SECONDS;
    }
    return -1;
}
