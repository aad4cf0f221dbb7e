#include "kvstore/kvctl/progress_bar.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/go_text.h"

enum { DRAW_INTERVAL_MS = 100, WIDTH_DEFAULT = 80 };

void progress_bar_init(struct progress_bar *bar, uint64_t total, bool in_bytes, uint64_t now_ms)
{
    *bar = (struct progress_bar){
        .is_on = isatty(STDERR_FILENO) == 1,
        .in_bytes = in_bytes,
        .total = total,
        .start_ms = now_ms,
    };
}

static void append_amount(struct buf *out, const struct progress_bar *bar, uint64_t amount)
{
    if (bar->in_bytes) {
        go_text_append_size(out, amount);
    } else {
        buf_append_format(out, "%llu", (unsigned long long)amount);
    }
}

void progress_bar_append(struct buf *out, const struct progress_bar *bar, uint64_t done,
                         uint64_t now_ms, unsigned width)
{
    CLEANUP(buf) struct buf tail = BUF_INIT;
    uint64_t elapsed_ms = now_ms > bar->start_ms ? now_ms - bar->start_ms : 0;
    buf_append_u8(&tail, ' ');
    append_amount(&tail, bar, done);
    if (bar->total > 0) {
        buf_append_text(&tail, " of ");
        append_amount(&tail, bar, bar->total);
        uint64_t permille = done >= bar->total ? 1000 : done * 1000 / bar->total;
        buf_append_format(&tail, ", %llu%%", (unsigned long long)(permille / 10));
    }
    if (elapsed_ms >= 500) {
        buf_append_text(&tail, ", ");
        append_amount(&tail, bar, done * 1000 / elapsed_ms);
        buf_append_text(&tail, "/s");
    }
    size_t tail_size = buf_size(&tail);
    size_t room = width > tail_size + 12 ? width - tail_size - 2 : 10;
    size_t filled =
        bar->total == 0 || done >= bar->total ? room : (size_t)(done * room / bar->total);
    buf_append_u8(out, '[');
    for (size_t i = 0; i < room; i++) {
        buf_append_u8(out, i < filled ? '#' : '.');
    }
    buf_append_u8(out, ']');
    buf_append_bytes(out, buf_bytes(&tail));
}

static unsigned terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) {
        return size.ws_col - 1U;
    }
    return WIDTH_DEFAULT - 1;
}

void progress_bar_update(struct progress_bar *bar, uint64_t done, uint64_t now_ms)
{
    bool is_complete = bar->total > 0 && done >= bar->total;
    if (!bar->is_on || (!is_complete && now_ms < bar->drawn_ms + DRAW_INTERVAL_MS)) {
        return;
    }
    bar->drawn_ms = now_ms;
    CLEANUP(buf) struct buf line = BUF_INIT;
    buf_append_u8(&line, '\r');
    progress_bar_append(&line, bar, done, now_ms, terminal_width());
    buf_append_text(&line, "\x1b[K");
    (void)fputs(buf_text(&line), stderr);
    (void)fflush(stderr);
}

void progress_bar_finish(struct progress_bar *bar)
{
    if (bar->is_on && bar->drawn_ms != 0) {
        (void)fputc('\n', stderr);
    }
    bar->is_on = false;
}
