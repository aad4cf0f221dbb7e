#include "runtime/image/progress.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { BAR_WIDTH = 30, REDRAW_MS = 100 };

void progress_init(struct progress *progress, FILE *out)
{
    *progress = (struct progress){.out = out};
    progress->is_terminal = out != NULL && isatty(fileno(out));
}

void progress_deinit(struct progress *progress)
{
    mem_free(progress->items);
    progress->items = NULL;
}

void progress_restart(struct progress *progress)
{
    progress->count = 0;
    progress->drawn = 0;
}

uint32_t progress_add(struct progress *progress, const char *label)
{
    progress->items =
        mem_reallocarray(progress->items, (size_t)progress->count + 1, sizeof(*progress->items));
    struct progress_item *item = &progress->items[progress->count];
    *item = (struct progress_item){.total = 0};
    (void)snprintf(item->label, sizeof(item->label), "%.12s", label);
    return progress->count++;
}

static void draw_item(FILE *out, const struct progress_item *item)
{
    fprintf(out, "\x1b[2K%s: %s", item->label, item->what);
    if (item->total > 0 && item->done < item->total) {
        int filled = (int)(item->done * BAR_WIDTH / item->total);
        fprintf(out, " [%.*s>%*s] %.1fMB/%.1fMB", filled,
                "==============================", BAR_WIDTH - filled, "", (double)item->done / 1e6,
                (double)item->total / 1e6);
    }
    (void)fputc('\n', out);
}

static void draw(struct progress *progress)
{
    if (progress->drawn > 0) {
        fprintf(progress->out, "\x1b[%uA", progress->drawn);
    }
    for (uint32_t i = 0; i < progress->count; i++) {
        draw_item(progress->out, &progress->items[i]);
    }
    progress->drawn = progress->count;
    progress->drawn_ms = clock_monotonic_ms();
    (void)fflush(progress->out);
}

void progress_set(struct progress *progress, uint32_t item, const char *what)
{
    struct progress_item *one = &progress->items[item];
    if (progress->out == NULL || strcmp(one->what, what) == 0) {
        return;
    }
    (void)snprintf(one->what, sizeof(one->what), "%s", what);
    one->total = 0;
    if (progress->is_terminal) {
        draw(progress);
    } else {
        fprintf(progress->out, "%s: %s\n", one->label, what);
        (void)fflush(progress->out);
    }
}

void progress_advance(struct progress *progress, uint32_t item, int64_t done, int64_t total)
{
    struct progress_item *one = &progress->items[item];
    one->done = done;
    one->total = total;
    if (progress->is_terminal && clock_monotonic_ms() - progress->drawn_ms >= REDRAW_MS) {
        draw(progress);
    }
}
