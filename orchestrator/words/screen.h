/* screen.h - what people see: tables that fit the terminal, colour where there is one. */
#ifndef ORCHESTRATOR_WORDS_SCREEN_H
#define ORCHESTRATOR_WORDS_SCREEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum { SCREEN_COLUMNS_MAX = 24, SCREEN_WIDTH_MIN = 40 };

struct screen {
    bool is_terminal;
    size_t width; /* characters; 0: as wide as it gets */
};

/* Of standard output. NO_COLOR (no-color.org) and COLUMNS are honoured. */
void screen_init(struct screen *screen);

enum screen_tone { TONE_PLAIN = 0, TONE_TITLE, TONE_GOOD, TONE_WAIT, TONE_BAD, TONE_DIM };
/* The text in its colour; just the text where there is no terminal. */
void screen_append(const struct screen *screen, struct buf *out, enum screen_tone tone,
                   const char *text);
/* What a word such as "Running" or "CrashLoopBackOff" sounds like. */
enum screen_tone screen_tone_of(const char *word);

/* Rows of texts, each row column_count of them; the first row has the titles. Too wide ones are cut
 * in their widest columns. */
struct screen_table {
    size_t column_count;
    char **cells; /* owned */
    size_t cell_count;
    size_t capacity;
};
void screen_table_init(struct screen_table *table, size_t column_count);
void screen_table_deinit(struct screen_table *table);
static inline void cleanup_screen_table(struct screen_table *table)
{
    screen_table_deinit(table);
}
/* One cell; rows fill up from the left. */
__attribute__((format(printf, 2, 3))) void screen_table_add(struct screen_table *table,
                                                            const char *format, ...);
void screen_table_append(const struct screen_table *table, const struct screen *screen,
                         struct buf *out);

/* The API's Table (meta.k8s.io/v1): without the columns of "wide" unless is_wide. has_namespace: a
 * first column with it. */
void screen_append_rows(const struct screen *screen, struct buf *out, const json_t *table,
                        bool is_wide, bool has_namespace);
void screen_print(struct buf *out); /* to standard output, and empty it */

#endif
