/* progress_bar.h - one line on a terminal that is drawn again and again; nothing elsewhere. */
#ifndef KVSTORE_KVCTL_PROGRESS_BAR_H
#define KVSTORE_KVCTL_PROGRESS_BAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct progress_bar {
    bool is_on;     /* standard error is a terminal */
    bool in_bytes;  /* amounts are sizes */
    uint64_t total; /* 0: not known */
    uint64_t drawn_ms;
    uint64_t start_ms;
};

void progress_bar_init(struct progress_bar *bar, uint64_t total, bool in_bytes, uint64_t now_ms);
/* Draws at most ten times a second. */
void progress_bar_update(struct progress_bar *bar, uint64_t done, uint64_t now_ms);
void progress_bar_finish(struct progress_bar *bar);
/* The text of one drawing, for a line of that width; pure. */
void progress_bar_append(struct buf *out, const struct progress_bar *bar, uint64_t done,
                         uint64_t now_ms, unsigned width);

#endif
