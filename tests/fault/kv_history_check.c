/* kv_history_check FILE - is the recorded history linearizable? Exit 0 yes, 1 no, 2 unreadable. */
#include "tests/fault/history.h"

#include <string.h>

#include "base/cleanup.h"

int main(int argc, char **argv)
{
    CLEANUP(file) FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
    struct history history = {0};
    char problem[HISTORY_PROBLEM_SIZE] = "";
    if (file == NULL) {
        fprintf(stderr, "usage: kv_history_check FILE (which must exist)\n");
        return 2;
    }
    size_t line = history_read(&history, file);
    if (line != 0) {
        fprintf(stderr, "line %zu cannot be read\n", line);
        history_deinit(&history);
        return 2;
    }
    bool ok = history_check_revisions(&history, problem);
    if (!ok) {
        printf("by revision: %s\n", problem);
    } else {
        ok = history_check_search(&history, problem);
        printf("%s%s\n", ok ? "linearizable" : "by search: ", problem);
    }
    size_t unknown = 0;
    for (size_t i = 0; i < history.count; i++) {
        unknown += history.operations[i].outcome == HISTORY_UNKNOWN;
    }
    printf("%zu operations, %zu of unknown outcome\n", history.count, unknown);
    history_deinit(&history);
    return ok ? 0 : 1;
}
