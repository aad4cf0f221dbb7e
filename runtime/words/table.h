/* table.h - columns for people: each as wide as its widest cell, three spaces between. */
#ifndef RUNTIME_WORDS_TABLE_H
#define RUNTIME_WORDS_TABLE_H

#include <stddef.h>

enum { TABLE_COLUMNS_MAX = 12 };

struct table {
    size_t column_count;
    char **cells; /* owned; rows of column_count */
    size_t cell_count;
};

/* titles: column_count texts; they become the first row. */
void table_init(struct table *table, const char *const *titles, size_t column_count);
void table_deinit(struct table *table);
void table_add(struct table *table, const char *const *cells);
void table_print(const struct table *table);

#endif
