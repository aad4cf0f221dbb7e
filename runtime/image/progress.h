/* progress.h - what people see while blobs travel: bars on a terminal, plain lines elsewhere. */
#ifndef RUNTIME_IMAGE_PROGRESS_H
#define RUNTIME_IMAGE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress_item {
    char label[20];
    char what[24]; /* "Downloading", "Extracting", "Pull complete" */
    int64_t done;
    int64_t total; /* 0: no bar */
};

struct progress {
    FILE *out; /* NULL: quiet */
    bool is_terminal;
    struct progress_item *items; /* owned */
    uint32_t count;
    uint32_t drawn; /* lines on the screen */
    uint64_t drawn_ms;
};

void progress_init(struct progress *progress, FILE *out);
void progress_deinit(struct progress *progress);
/* What has been drawn stays; the next items are drawn below it. */
void progress_restart(struct progress *progress);
/* Returns the item's number. */
uint32_t progress_add(struct progress *progress, const char *label);
/* A new state is shown at once; without a terminal as a line of its own. */
void progress_set(struct progress *progress, uint32_t item, const char *what);
/* Redraws at most ten times a second. */
void progress_advance(struct progress *progress, uint32_t item, int64_t done, int64_t total);

#endif
