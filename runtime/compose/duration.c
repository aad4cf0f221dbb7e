#include "runtime/compose/duration.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    double ns;
} units[] = {
    {"ns", 1},  {"us", 1e3}, {"µs", 1e3},   {"ms", 1e6},
    {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9},
};

int duration_parse(const char *text, int64_t *ret_ns)
{
    double total = 0;
    if (text[0] == '\0') {
        return ERR_MALFORMED;
    }
    while (*text != '\0') {
        char *end = NULL;
        if (strspn(text, "0123456789.") == 0) {
            return ERR_MALFORMED;
        }
        double value = strtod(text, &end);
        size_t size = strcspn(end, "0123456789.");
        double unit = size == 0 && *end == '\0' ? 1e9 : 0;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            if (strlen(units[i].name) == size && strncmp(units[i].name, end, size) == 0) {
                unit = units[i].ns;
            }
        }
        if (unit == 0 || end == text) {
            return ERR_MALFORMED;
        }
        total += value * unit;
        text = end + size;
    }
    if (!(total < 9.2e18)) {
        return ERR_MALFORMED;
    }
    *ret_ns = (int64_t)total;
    return 0;
}
