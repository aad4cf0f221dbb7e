/* history.h - what clients of real members asked and were told, and whether that can be true.
 *
 * A history file has one line for each operation:
 *
 *     client kind key value expected invoke_ns return_ns outcome revision mod
 *
 * kind: put, get, cas (write value if the key still has the value `expected`, as the client had
 * read it). outcome: ok, failed (a cas whose comparison failed), unknown. `-` stands for no value.
 * For get, value is what was read and mod its revision. revision is the answer's. Times are of one
 * monotonic clock; return_ns 0: never. Every value is written at most once. */
#ifndef TESTS_FAULT_HISTORY_H
#define TESTS_FAULT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { HISTORY_TEXT_SIZE = 40 };

enum history_kind { HISTORY_PUT, HISTORY_GET, HISTORY_CAS };
enum history_outcome { HISTORY_OK, HISTORY_FAILED, HISTORY_UNKNOWN };

struct history_operation {
    uint32_t client;
    enum history_kind kind;
    char key[HISTORY_TEXT_SIZE];
    char value[HISTORY_TEXT_SIZE];    /* "": none */
    char expected[HISTORY_TEXT_SIZE]; /* "": the key must not exist */
    uint64_t invoke_ns;
    uint64_t return_ns; /* 0: never */
    enum history_outcome outcome;
    int64_t revision;
    int64_t mod;
};

struct history {
    struct history_operation *operations;
    size_t count;
    size_t capacity;
};

void history_add(struct history *history, const struct history_operation *operation);
void history_deinit(struct history *history);
void history_write(FILE *file, const struct history_operation *operation);
/* 0, or the number of the first line that cannot be read. */
size_t history_read(struct history *history, FILE *file);

enum { HISTORY_PROBLEM_SIZE = 400 };

/* By revision order: every answer names a revision, so there is but one order to try. O(n log n).
 * False: problem says what cannot be. */
bool history_check_revisions(const struct history *history, char *problem);

/* Wing, Gong and Lowe's search, key by key, that believes no revision: some order of the operations
 * explains all answers and reverses no two that did not overlap. Unknown ones may have happened at
 * any time after they were asked for, or never. False also if the search is given up. */
bool history_check_search(const struct history *history, char *problem);

#endif
