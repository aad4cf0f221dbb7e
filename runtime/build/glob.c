#include "runtime/build/glob.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

/* [set]: *at stands behind the opening bracket and is moved behind the closing one. */
static bool match_set(const char **at, char c, bool *is_well_formed)
{
    const char *text = *at;
    bool is_negated = *text == '^';
    bool is_in = false;
    bool is_first = true;
    text += is_negated ? 1 : 0;
    while (*text != '\0' && (*text != ']' || is_first)) {
        is_first = false;
        text += *text == '\\' && text[1] != '\0' ? 1 : 0;
        char low = *text++;
        char high = low;
        if (*text == '-' && text[1] != ']' && text[1] != '\0') {
            text++;
            text += *text == '\\' && text[1] != '\0' ? 1 : 0;
            high = *text++;
        }
        is_in |= low <= c && c <= high;
    }
    *is_well_formed = *text == ']';
    *at = text + (*text == ']' ? 1 : 0);
    return is_in != is_negated && c != '/';
}

/* steps bounds the work of patterns with many stars. */
static bool match(const char *pattern, const char *path, unsigned *steps)
{
    while (*pattern != '\0') {
        if (++*steps > 100000) {
            return false;
        }
        if (pattern[0] == '*' && pattern[1] == '*') {
            pattern += 2;
            pattern += *pattern == '/' ? 1 : 0;
            for (const char *at = path;; at++) {
                bool is_start = at == path || at[-1] == '/';
                if ((is_start && match(pattern, at, steps)) || (*pattern == '\0')) {
                    return true;
                }
                if (*at == '\0') {
                    return false;
                }
            }
        }
        if (*pattern == '*') {
            for (const char *at = path;; at++) {
                if (match(pattern + 1, at, steps)) {
                    return true;
                }
                if (*at == '\0' || *at == '/') {
                    return false;
                }
            }
        }
        if (*path == '\0') {
            return false;
        }
        if (*pattern == '[') {
            bool is_well_formed = true;
            pattern++;
            if (!match_set(&pattern, *path, &is_well_formed) || !is_well_formed) {
                return false;
            }
        } else {
            pattern += *pattern == '\\' && pattern[1] != '\0' ? 1 : 0;
            bool is_any = *pattern == '?' && pattern[-1] != '\\' && *path != '/';
            if (!is_any && *pattern != *path) {
                return false;
            }
            pattern++;
        }
        path++;
    }
    return *path == '\0';
}

bool glob_match(const char *pattern, const char *path)
{
    unsigned steps = 0;
    /* One byte in front, so that match may look back. */
    char *copy = mem_printf("/%s", pattern);
    bool is_match = match(copy + 1, path, &steps);
    mem_free(copy);
    return is_match;
}

bool glob_is_pattern(const char *text)
{
    return strpbrk(text, "*?[\\") != NULL;
}

/* "./a//b/" becomes "a/b". */
static const char *clean(struct arena *arena, struct bytes text)
{
    char *out = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t at = 0; at < text.size;) {
        size_t end = at;
        while (end < text.size && text.data[end] != '/') {
            end++;
        }
        bool is_dot = end - at == 1 && text.data[at] == '.';
        if (end > at && !is_dot) {
            if (size > 0) {
                out[size++] = '/';
            }
            memcpy(out + size, text.data + at, end - at);
            size += end - at;
        }
        at = end + 1;
    }
    out[size] = '\0';
    return out;
}

void ignore_parse(struct bytes text, struct arena *arena, struct ignore *ret)
{
    unsigned room = 1;
    for (size_t i = 0; i < text.size; i++) {
        room += text.data[i] == '\n';
    }
    ret->rules = arena_alloc(arena, room * sizeof(*ret->rules));
    ret->count = 0;
    while (text.size > 0) {
        const uint8_t *newline = memchr(text.data, '\n', text.size);
        size_t size = newline == NULL ? text.size : (size_t)(newline - text.data);
        struct bytes line = bytes_make(text.data, size);
        size_t used = size + (newline == NULL ? 0 : 1);
        text = bytes_make(text.data + used, text.size - used);
        while (line.size > 0 && isspace(line.data[line.size - 1])) {
            line.size--;
        }
        while (line.size > 0 && isspace(line.data[0])) {
            line = bytes_make(line.data + 1, line.size - 1);
        }
        if (line.size == 0 || line.data[0] == '#') {
            continue;
        }
        struct ignore_rule *rule = &ret->rules[ret->count];
        rule->is_exception = line.data[0] == '!';
        if (rule->is_exception) {
            line = bytes_make(line.data + 1, line.size - 1);
        }
        rule->pattern = clean(arena, line);
        ret->count += rule->pattern[0] != '\0';
    }
}

static bool matches_parents(const char *pattern, const char *path)
{
    char *prefix = mem_strdup(path);
    bool is_match = glob_match(pattern, prefix);
    for (char *slash; !is_match && (slash = strrchr(prefix, '/')) != NULL;) {
        *slash = '\0';
        is_match = glob_match(pattern, prefix);
    }
    mem_free(prefix);
    return is_match;
}

bool ignore_matches(const struct ignore *ignore, const char *path)
{
    bool is_ignored = false;
    for (unsigned i = 0; i < ignore->count; i++) {
        if (is_ignored == ignore->rules[i].is_exception &&
            matches_parents(ignore->rules[i].pattern, path)) {
            is_ignored = !ignore->rules[i].is_exception;
        }
    }
    return is_ignored;
}
