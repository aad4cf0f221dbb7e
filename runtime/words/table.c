#include "runtime/words/table.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void table_init(struct table *table, const char *const *titles, size_t column_count)
{
    CHECK(column_count <= TABLE_COLUMNS_MAX);
    *table = (struct table){.column_count = column_count};
    table_add(table, titles);
}

void table_deinit(struct table *table)
{
    for (size_t i = 0; i < table->cell_count; i++) {
        mem_free(table->cells[i]);
    }
    mem_free(table->cells);
    *table = (struct table){.column_count = 0};
}

void table_add(struct table *table, const char *const *cells)
{
    table->cells = mem_reallocarray(table->cells, table->cell_count + table->column_count,
                                    sizeof(*table->cells));
    for (size_t i = 0; i < table->column_count; i++) {
        table->cells[table->cell_count++] = mem_strdup(cells[i]);
    }
}

void table_print(const struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t size = strlen(table->cells[i]);
        size_t column = i % table->column_count;
        widths[column] = size > widths[column] ? size : widths[column];
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t column = i % table->column_count;
        if (column + 1 == table->column_count) {
            printf("%s\n", table->cells[i]);
        } else {
            printf("%-*s   ", (int)widths[column], table->cells[i]);
        }
    }
}
