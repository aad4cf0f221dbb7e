#include "tests/fault/history.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

static const char *const kinds[] = {"put", "get", "cas"};
static const char *const outcomes[] = {"ok", "failed", "unknown"};

void history_add(struct history *history, const struct history_operation *operation)
{
    if (history->count == history->capacity) {
        history->capacity = history->capacity == 0 ? 1024 : history->capacity * 2;
        history->operations = mem_reallocarray(history->operations, history->capacity,
                                               sizeof history->operations[0]);
    }
    history->operations[history->count++] = *operation;
}

void history_deinit(struct history *history)
{
    mem_free(history->operations);
    *history = (struct history){0};
}

static const char *shown(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

void history_write(FILE *file, const struct history_operation *operation)
{
    (void)fprintf(file,
                  "%" PRIu32 " %s %s %s %s %" PRIu64 " %" PRIu64 " %s %" PRId64 " %" PRId64 "\n",
                  operation->client, kinds[operation->kind], operation->key,
                  shown(operation->value), shown(operation->expected), operation->invoke_ns,
                  operation->return_ns, outcomes[operation->outcome], operation->revision,
                  operation->mod);
}

static bool find_word(const char *const *words, size_t count, const char *word, int *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            *ret = (int)i;
            return true;
        }
    }
    return false;
}

static void unshow(char *text)
{
    if (strcmp(text, "-") == 0) {
        text[0] = '\0';
    }
}

static bool parse(const char *line, struct history_operation *ret)
{
    char kind[8];
    char outcome[8];
    int number = 0;
    struct history_operation operation = {0};
    if (sscanf(line,
               "%" SCNu32 " %7s %39s %39s %39s %" SCNu64 " %" SCNu64 " %7s %" SCNd64 " %" SCNd64,
               &operation.client, kind, operation.key, operation.value, operation.expected,
               &operation.invoke_ns, &operation.return_ns, outcome, &operation.revision,
               &operation.mod) != 10) {
        return false;
    }
    unshow(operation.value);
    unshow(operation.expected);
    if (!find_word(kinds, 3, kind, &number)) {
        return false;
    }
    operation.kind = (enum history_kind)number;
    if (!find_word(outcomes, 3, outcome, &number)) {
        return false;
    }
    operation.outcome = (enum history_outcome)number;
    *ret = operation;
    return operation.outcome == HISTORY_UNKNOWN || operation.return_ns >= operation.invoke_ns;
}

size_t history_read(struct history *history, FILE *file)
{
    char line[512];
    size_t number = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        struct history_operation operation;
        number += 1;
        if (!parse(line, &operation)) {
            return number;
        }
        history_add(history, &operation);
    }
    return 0;
}
