#include "orchestrator/objects/quantity.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS_MAX = 30, EXPONENT_MAX = 30, FRACTION_DIGITS = 9 };

static const struct {
    const char *text;
    int power; /* of 10, or of 2 for a binary one */
    enum quantity_format format;
} suffixes[] = {
    {"Ki", 10, QUANTITY_BINARY}, {"Mi", 20, QUANTITY_BINARY}, {"Gi", 30, QUANTITY_BINARY},
    {"Ti", 40, QUANTITY_BINARY}, {"Pi", 50, QUANTITY_BINARY}, {"Ei", 60, QUANTITY_BINARY},
    {"n", -9, QUANTITY_DECIMAL}, {"u", -6, QUANTITY_DECIMAL}, {"m", -3, QUANTITY_DECIMAL},
    {"", 0, QUANTITY_DECIMAL},   {"k", 3, QUANTITY_DECIMAL},  {"M", 6, QUANTITY_DECIMAL},
    {"G", 9, QUANTITY_DECIMAL},  {"T", 12, QUANTITY_DECIMAL}, {"P", 15, QUANTITY_DECIMAL},
    {"E", 18, QUANTITY_DECIMAL},
};
enum { SUFFIX_COUNT = sizeof(suffixes) / sizeof(suffixes[0]) };

struct number {
    unsigned __int128 digits;
    int scale; /* value = digits * 10^-scale */
};

static bool read_number(const char **text, struct number *number)
{
    int count = 0;
    bool has_point = false;
    bool has_digit = false;
    for (;; (*text)++) {
        char c = **text;
        if (c == '.' && !has_point) {
            has_point = true;
        } else if (c >= '0' && c <= '9') {
            has_digit = true;
            number->digits = number->digits * 10 + (unsigned)(c - '0');
            number->scale += has_point;
            count += number->digits != 0;
            if (count > DIGITS_MAX || number->scale > DIGITS_MAX) {
                return false;
            }
        } else {
            return has_digit;
        }
    }
}

/* The power of ten of "e3" or "E-2"; false when text is no exponent to its end. */
static bool read_exponent(const char *text, int *ret)
{
    if (*text != 'e' && *text != 'E') {
        return false;
    }
    text++;
    int sign = *text == '-' ? -1 : 1;
    text += *text == '-' || *text == '+';
    int value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > EXPONENT_MAX) {
            return false;
        }
        value = value * 10 + (*text - '0');
    }
    *ret = sign * value;
    return value <= EXPONENT_MAX;
}

/* digits * 2^binary * 10^decimal, rounded up; false when it does not fit. */
static bool scale_up(unsigned __int128 digits, int binary, int decimal, unsigned __int128 *ret)
{
    const unsigned __int128 limit = ((unsigned __int128)1 << 126);
    for (; binary > 0; binary--) {
        if (digits >= limit / 2) {
            return false;
        }
        digits *= 2;
    }
    for (; decimal > 0 && digits != 0; decimal--) {
        if (digits >= limit / 10) {
            return false;
        }
        digits *= 10;
    }
    bool has_rest = false;
    for (; decimal < 0; decimal++) {
        has_rest = has_rest || digits % 10 != 0;
        digits /= 10;
    }
    *ret = digits + (unsigned)has_rest;
    return true;
}

int quantity_parse(const char *text, quantity *ret, enum quantity_format *ret_format)
{
    bool is_negative = *text == '-';
    text += *text == '-' || *text == '+';
    struct number number = {0};
    if (!read_number(&text, &number)) {
        return ERR_MALFORMED;
    }
    int power = 0;
    enum quantity_format format = QUANTITY_EXPONENT;
    if (!read_exponent(text, &power)) {
        int at = 0;
        while (at < SUFFIX_COUNT && strcmp(suffixes[at].text, text) != 0) {
            at++;
        }
        if (at == SUFFIX_COUNT) {
            return ERR_MALFORMED;
        }
        power = suffixes[at].power;
        format = suffixes[at].format;
    }
    bool is_binary = format == QUANTITY_BINARY;
    unsigned __int128 value = 0;
    if (!scale_up(number.digits, is_binary ? power : 0,
                  (is_binary ? 0 : power) - number.scale + FRACTION_DIGITS, &value) ||
        value > (unsigned __int128)INT64_MAX * 1000000000u) {
        return ERR_TOO_LARGE;
    }
    *ret = is_negative ? -(quantity)value : (quantity)value;
    if (ret_format != NULL) {
        *ret_format = format;
    }
    return 0;
}

int quantity_from_json(const json_t *value, quantity *ret)
{
    if (json_is_string(value)) {
        return quantity_parse(json_string_value(value), ret, NULL);
    }
    if (json_is_integer(value)) {
        *ret = quantity_from_units(json_integer_value(value));
        return 0;
    }
    if (json_is_real(value)) {
        char text[QUANTITY_TEXT_SIZE];
        (void)snprintf(text, sizeof(text), "%.9f", json_real_value(value));
        return quantity_parse(text, ret, NULL);
    }
    return ERR_MALFORMED;
}

static void print_number(quantity value, char text[QUANTITY_TEXT_SIZE], const char *suffix)
{
    /* What is printed is at most 2^63 units, or 10^9 times that when the suffix is "n". */
    char digits[48];
    size_t at = sizeof(digits);
    digits[--at] = '\0';
    bool is_negative = value < 0;
    unsigned __int128 rest = is_negative ? -(unsigned __int128)value : (unsigned __int128)value;
    do {
        digits[--at] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest != 0);
    (void)snprintf(text, QUANTITY_TEXT_SIZE, "%s%s%s", is_negative ? "-" : "", &digits[at], suffix);
}

const char *quantity_print(quantity value, enum quantity_format format,
                           char text[QUANTITY_TEXT_SIZE])
{
    if (format == QUANTITY_BINARY && value % QUANTITY_ONE == 0) {
        quantity units = value / QUANTITY_ONE;
        int at = -1;
        while (at < 5 && units != 0 && units % 1024 == 0) {
            units /= 1024;
            at++;
        }
        print_number(units, text, at < 0 ? "" : suffixes[at].text);
        return text;
    }
    /* Decimal suffixes are a run in the table, a thousand apart, from "n". */
    int at = 6;
    while (at < SUFFIX_COUNT - 1 && value != 0 && value % 1000 == 0) {
        value /= 1000;
        at++;
    }
    if (value == 0) {
        at = 9;
    }
    char exponent[8];
    const char *suffix = suffixes[at].text;
    if (format == QUANTITY_EXPONENT && suffixes[at].power != 0) {
        (void)snprintf(exponent, sizeof(exponent), "e%d", suffixes[at].power);
        suffix = exponent;
    }
    print_number(value, text, suffix);
    return text;
}

static int64_t divide_up(quantity value, quantity divisor)
{
    quantity result = value / divisor;
    result += value > 0 && value % divisor != 0;
    if (result > INT64_MAX) {
        return INT64_MAX;
    }
    return result < INT64_MIN ? INT64_MIN : (int64_t)result;
}

int64_t quantity_to_units(quantity value)
{
    return divide_up(value, QUANTITY_ONE);
}

int64_t quantity_to_milli(quantity value)
{
    return divide_up(value, QUANTITY_ONE / 1000);
}

quantity quantity_from_units(int64_t units)
{
    return (quantity)units * QUANTITY_ONE;
}

quantity quantity_from_milli(int64_t milli)
{
    return (quantity)milli * (QUANTITY_ONE / 1000);
}

quantity quantity_in(const json_t *map, const char *key)
{
    quantity value = 0;
    const json_t *found = json_object_get(map, key);
    if (found == NULL || quantity_from_json(found, &value) != 0) {
        return 0;
    }
    return value;
}
