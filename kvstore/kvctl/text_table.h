/* text_table.h - the framed tables of --write-out=table.
 *
 * +--------+------+
 * | HEADER | NAME |     headers are upper-cased and centred, cells are aligned to the right,
 * +--------+------+     cells wider than 30 characters are wrapped at spaces
 * |     ab |    c |
 * +--------+------+
 */
#ifndef KVSTORE_KVCTL_TEXT_TABLE_H
#define KVSTORE_KVCTL_TEXT_TABLE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

enum { TEXT_TABLE_COLUMNS_MAX = 20 };

struct text_table {
    struct arena arena; /* owns the cells */
    size_t column_count;
    const char *headers[TEXT_TABLE_COLUMNS_MAX];
    const char **cells; /* row_count * column_count */
    size_t row_count;
    size_t capacity; /* rows */
};

/* headers: words separated by '|'. */
void text_table_init(struct text_table *table, const char *headers);
void text_table_deinit(struct text_table *table);
/* A new row of empty cells. */
void text_table_add_row(struct text_table *table);
/* Set a cell of the last row. */
__attribute__((format(printf, 3, 4))) void text_table_set(struct text_table *table, size_t column,
                                                          const char *format, ...);
void text_table_append(const struct text_table *table, struct buf *out);
/* The rows as lines "cell, cell, cell" (--write-out=simple). */
void text_table_append_plain(const struct text_table *table, struct buf *out);

#endif
