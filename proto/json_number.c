#include "proto/json_number.h"

enum { EXPONENT_MAX = 100 };

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The exponent at text[at], which is 'e' or the end. */
static bool parse_exponent(struct bytes text, size_t at, int *ret_exponent)
{
    int exponent = 0;
    bool is_negative = false;
    if (at == text.size) {
        *ret_exponent = 0;
        return true;
    }
    at++;
    if (at < text.size && (text.data[at] == '-' || text.data[at] == '+')) {
        is_negative = text.data[at] == '-';
        at++;
    }
    for (; at < text.size; at++) {
        exponent = exponent * 10 + (text.data[at] - '0');
        if (exponent > EXPONENT_MAX) {
            return false;
        }
    }
    *ret_exponent = is_negative ? -exponent : exponent;
    return true;
}

static bool add_digit(uint64_t *value, uint8_t digit)
{
    if (*value > UINT64_MAX / 10 || *value * 10 > UINT64_MAX - digit) {
        return false;
    }
    *value = *value * 10 + digit;
    return true;
}

bool json_number_whole(struct bytes text, bool *ret_is_negative, uint64_t *ret_magnitude)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    size_t start = is_negative ? 1 : 0;
    size_t end = start;
    int whole_digits = 0;
    bool seen_point = false;
    while (end < text.size && (is_digit(text.data[end]) || text.data[end] == '.')) {
        seen_point = seen_point || text.data[end] == '.';
        whole_digits += seen_point ? 0 : 1;
        end++;
    }
    int exponent = 0;
    if (!parse_exponent(text, end, &exponent)) {
        return false;
    }
    uint64_t value = 0;
    int places =
        whole_digits + exponent; /* digits before the point, once the exponent is applied */
    for (size_t i = start; i < end; i++) {
        if (text.data[i] == '.') {
            continue;
        }
        uint8_t digit = (uint8_t)(text.data[i] - '0');
        if (places > 0 ? !add_digit(&value, digit) : digit != 0) {
            return false;
        }
        places--;
    }
    for (; places > 0 && value != 0; places--) {
        if (!add_digit(&value, 0)) {
            return false;
        }
    }
    *ret_is_negative = is_negative;
    *ret_magnitude = value;
    return true;
}
