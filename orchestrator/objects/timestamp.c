#include "orchestrator/objects/timestamp.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/objects/tree.h"

enum { DAY_SECONDS = 86400 };

/* Days since 1970-01-01 of a date of the Gregorian calendar (H. Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms": eras of 400 years that begin on March 1). */
static int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

struct civil_time civil_from_seconds(int64_t seconds)
{
    int64_t days = seconds / DAY_SECONDS;
    int64_t rest = seconds % DAY_SECONDS;
    if (rest < 0) {
        rest += DAY_SECONDS;
        days--;
    }
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_index = (5 * day_of_year + 2) / 153;
    int month = (int)(month_index < 10 ? month_index + 3 : month_index - 9);
    int64_t weekday = (days + 4) % 7;
    return (struct civil_time){
        .year = year_of_era + era * 400 + (month <= 2),
        .month = month,
        .day = (int)(day_of_year - (153 * month_index + 2) / 5 + 1),
        .hour = (int)(rest / 3600),
        .minute = (int)(rest / 60 % 60),
        .second = (int)(rest % 60),
        .weekday = (int)(weekday < 0 ? weekday + 7 : weekday),
    };
}

int64_t civil_to_seconds(const struct civil_time *civil)
{
    return days_from_date(civil->year, civil->month, civil->day) * DAY_SECONDS +
           civil->hour * 3600 + civil->minute * 60 + civil->second;
}

static int64_t floor_seconds(int64_t time_ms)
{
    return time_ms >= 0 ? time_ms / 1000 : (time_ms - 999) / 1000;
}

const char *timestamp_format(int64_t time_ms, char text[TIMESTAMP_SIZE])
{
    struct civil_time at = civil_from_seconds(floor_seconds(time_ms));
    (void)snprintf(text, TIMESTAMP_SIZE, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)(at.year % 10000),
                   at.month, at.day, at.hour, at.minute, at.second);
    return text;
}

const char *timestamp_format_micro(int64_t time_ms, char text[TIMESTAMP_SIZE])
{
    int64_t seconds = floor_seconds(time_ms);
    struct civil_time at = civil_from_seconds(seconds);
    (void)snprintf(text, TIMESTAMP_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                   (int)(at.year % 10000), at.month, at.day, at.hour, at.minute, at.second,
                   (int)((time_ms - seconds * 1000) * 1000));
    return text;
}

/* count digits at *text into *ret; moves *text. */
static bool read_digits(const char **text, int count, int *ret)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        char c = (*text)[i];
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    *text += count;
    *ret = value;
    return true;
}

static bool read_char(const char **text, char expected)
{
    if (**text != expected) {
        return false;
    }
    (*text)++;
    return true;
}

/* "Z" or "+hh:mm"; seconds east of UTC. */
static bool read_offset(const char **text, int64_t *ret_seconds)
{
    if (read_char(text, 'Z')) {
        *ret_seconds = 0;
        return true;
    }
    int sign = **text == '-' ? -1 : 1;
    int hours = 0;
    int minutes = 0;
    if (!(read_char(text, '+') || read_char(text, '-')) || !read_digits(text, 2, &hours) ||
        !read_char(text, ':') || !read_digits(text, 2, &minutes)) {
        return false;
    }
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

static int read_fraction_ms(const char **text)
{
    int value = 0;
    int scale = 100;
    if (!read_char(text, '.')) {
        return 0;
    }
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        value += (**text - '0') * scale;
        scale /= 10;
    }
    return value;
}

int timestamp_parse(const char *text, int64_t *ret_time_ms)
{
    struct civil_time at = {0};
    int year = 0;
    if (!read_digits(&text, 4, &year) || !read_char(&text, '-') ||
        !read_digits(&text, 2, &at.month) || !read_char(&text, '-') ||
        !read_digits(&text, 2, &at.day) || !read_char(&text, 'T') ||
        !read_digits(&text, 2, &at.hour) || !read_char(&text, ':') ||
        !read_digits(&text, 2, &at.minute) || !read_char(&text, ':') ||
        !read_digits(&text, 2, &at.second)) {
        return ERR_MALFORMED;
    }
    at.year = year;
    if (at.month < 1 || at.month > 12 || at.day < 1 || at.day > 31 || at.hour > 23 ||
        at.minute > 59 || at.second > 60) {
        return ERR_MALFORMED;
    }
    int fraction_ms = read_fraction_ms(&text);
    int64_t offset = 0;
    if (!read_offset(&text, &offset) || *text != '\0') {
        return ERR_MALFORMED;
    }
    *ret_time_ms = (civil_to_seconds(&at) - offset) * 1000 + fraction_ms;
    return 0;
}

int64_t timestamp_at(const json_t *object, const char *path, int64_t fallback_ms)
{
    const char *text = tree_text(object, path);
    int64_t time_ms = 0;
    if (text == NULL || timestamp_parse(text, &time_ms) != 0) {
        return fallback_ms;
    }
    return time_ms;
}

/* Two units while the first is small, one when it is large: apimachinery duration.HumanDuration. */
const char *duration_format_short(int64_t duration_ms, char text[DURATION_TEXT_SIZE])
{
    int64_t seconds = duration_ms / 1000;
    if (seconds < -1) {
        (void)snprintf(text, DURATION_TEXT_SIZE, "<invalid>");
        return text;
    }
    if (seconds <= 0) {
        (void)snprintf(text, DURATION_TEXT_SIZE, "0s");
        return text;
    }
    const struct {
        int64_t below; /* seconds */
        int64_t unit;
        char name;
        int64_t small_unit; /* 0: only one unit */
        char small_name;
    } steps[] = {
        {120, 1, 's', 0, 0},
        {600, 60, 'm', 1, 's'},
        {3 * 3600, 60, 'm', 0, 0},
        {8 * 3600, 3600, 'h', 60, 'm'},
        {48 * 3600, 3600, 'h', 0, 0},
        {192 * 3600, DAY_SECONDS, 'd', 3600, 'h'},
        {2 * 365 * 24 * 3600, DAY_SECONDS, 'd', 0, 0},
        {(int64_t)8 * 365 * 24 * 3600, 365 * DAY_SECONDS, 'y', DAY_SECONDS, 'd'},
        {INT64_MAX, 365 * DAY_SECONDS, 'y', 0, 0},
    };
    size_t at = 0;
    while (seconds >= steps[at].below) {
        at++;
    }
    long long large = (long long)(seconds / steps[at].unit);
    int64_t rest = seconds % steps[at].unit;
    long long small = steps[at].small_unit == 0 ? 0 : (long long)(rest / steps[at].small_unit);
    if (small == 0) {
        (void)snprintf(text, DURATION_TEXT_SIZE, "%lld%c", large, steps[at].name);
    } else {
        (void)snprintf(text, DURATION_TEXT_SIZE, "%lld%c%lld%c", large, steps[at].name, small,
                       steps[at].small_name);
    }
    return text;
}

/* Milliseconds of the unit at *text; 0 when there is none. Moves *text. */
static double read_unit(const char **text)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ms", 1},      {"us", 0.001}, {"ns", 0.000001},
                 {"h", 3600000}, {"m", 60000},  {"s", 1000}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t size = strlen(units[i].name);
        if (strncmp(*text, units[i].name, size) == 0) {
            *text += size;
            return units[i].ms;
        }
    }
    return 0;
}

int duration_parse(const char *text, int64_t *ret_duration_ms)
{
    double total = 0;
    int sign = read_char(&text, '-') ? -1 : 1;
    if (strcmp(text, "0") == 0) {
        *ret_duration_ms = 0;
        return 0;
    }
    do {
        double number = 0;
        double scale = 1;
        int digits = 0;
        for (; *text >= '0' && *text <= '9'; text++, digits++) {
            number = number * 10 + (*text - '0');
        }
        if (read_char(&text, '.')) {
            for (; *text >= '0' && *text <= '9'; text++, digits++) {
                scale /= 10;
                number += (*text - '0') * scale;
            }
        }
        double unit = read_unit(&text);
        if (digits == 0 || digits > 15 || unit <= 0) {
            return ERR_MALFORMED;
        }
        total += number * unit;
    } while (*text != '\0');
    if (total > 9e15) {
        return ERR_MALFORMED;
    }
    *ret_duration_ms = sign * (int64_t)total;
    return 0;
}
