#include "kvstore/kvctl/text_table.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { CELL_WIDTH_MAX = 30 };

void text_table_init(struct text_table *table, const char *headers)
{
    *table = (struct text_table){0};
    arena_init(&table->arena);
    while (*headers != '\0') {
        CHECK(table->column_count < TEXT_TABLE_COLUMNS_MAX);
        size_t length = strcspn(headers, "|");
        table->headers[table->column_count] =
            arena_text(&table->arena, bytes_make(headers, length));
        table->column_count += 1;
        headers += length + (headers[length] == '|');
    }
}

void text_table_deinit(struct text_table *table)
{
    mem_free(table->cells);
    arena_deinit(&table->arena);
}

void text_table_add_row(struct text_table *table)
{
    if (table->row_count == table->capacity) {
        table->capacity = table->capacity == 0 ? 8 : table->capacity * 2;
        table->cells = mem_reallocarray(table->cells, table->capacity * table->column_count,
                                        sizeof *table->cells);
    }
    for (size_t i = 0; i < table->column_count; i++) {
        table->cells[table->row_count * table->column_count + i] = "";
    }
    table->row_count += 1;
}

void text_table_set(struct text_table *table, size_t column, const char *format, ...)
{
    CHECK(table->row_count > 0 && column < table->column_count);
    struct buf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_append_vformat(&text, format, arguments);
    va_end(arguments);
    table->cells[(table->row_count - 1) * table->column_count + column] =
        arena_strdup(&table->arena, buf_text(&text));
    buf_deinit(&text);
}

static const char *cell_at(const struct text_table *table, size_t row, size_t column)
{
    return table->cells[row * table->column_count + column];
}

/* Characters, not bytes. */
static size_t display_width(const char *text, size_t size)
{
    size_t width = 0;
    for (size_t i = 0; i < size; i++) {
        width += ((unsigned char)text[i] & 0xc0U) != 0x80;
    }
    return width;
}

/* The length of the first line when text is wrapped at spaces; a long word is never broken. */
static size_t line_length(const char *text)
{
    size_t total = strcspn(text, "\n");
    size_t fitting = 0;
    for (size_t i = 0; i <= total; i++) {
        if (i < total && text[i] != ' ') {
            continue;
        }
        if (display_width(text, i) > CELL_WIDTH_MAX && fitting > 0) {
            return fitting;
        }
        fitting = i;
    }
    return total;
}

static size_t widest_line(const char *text)
{
    size_t widest = 0;
    while (*text != '\0') {
        size_t length = line_length(text);
        size_t width = display_width(text, length);
        widest = width > widest ? width : widest;
        text += length + (text[length] != '\0');
    }
    return widest;
}

static void append_padding(struct buf *out, size_t count, char c)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_u8(out, (uint8_t)c);
    }
}

static void append_rule(struct buf *out, const size_t *widths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_u8(out, '+');
        append_padding(out, widths[i] + 2, '-');
    }
    buf_append_text(out, "+\n");
}

static void append_header(const struct text_table *table, const size_t *widths, struct buf *out)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const char *header = table->headers[i];
        size_t spare = widths[i] - strlen(header);
        buf_append_text(out, "| ");
        append_padding(out, spare / 2, ' ');
        for (const char *c = header; *c != '\0'; c++) {
            buf_append_u8(out, *c == '_' ? ' ' : (uint8_t)toupper((unsigned char)*c));
        }
        append_padding(out, spare - spare / 2 + 1, ' ');
    }
    buf_append_text(out, "|\n");
}

static void append_row(const struct text_table *table, size_t row, const size_t *widths,
                       struct buf *out)
{
    const char *rest[TEXT_TABLE_COLUMNS_MAX];
    for (size_t i = 0; i < table->column_count; i++) {
        rest[i] = cell_at(table, row, i);
    }
    bool is_more = true;
    while (is_more) {
        is_more = false;
        for (size_t i = 0; i < table->column_count; i++) {
            size_t length = line_length(rest[i]);
            buf_append_text(out, "| ");
            append_padding(out, widths[i] - display_width(rest[i], length), ' ');
            buf_append(out, rest[i], length);
            buf_append_u8(out, ' ');
            rest[i] += length + (rest[i][length] != '\0');
            is_more |= *rest[i] != '\0';
        }
        buf_append_text(out, "|\n");
    }
}

void text_table_append(const struct text_table *table, struct buf *out)
{
    size_t widths[TEXT_TABLE_COLUMNS_MAX];
    for (size_t i = 0; i < table->column_count; i++) {
        widths[i] = strlen(table->headers[i]);
        for (size_t row = 0; row < table->row_count; row++) {
            size_t width = widest_line(cell_at(table, row, i));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    append_rule(out, widths, table->column_count);
    append_header(table, widths, out);
    append_rule(out, widths, table->column_count);
    for (size_t row = 0; row < table->row_count; row++) {
        append_row(table, row, widths, out);
    }
    if (table->row_count > 0) {
        append_rule(out, widths, table->column_count);
    }
}

void text_table_append_plain(const struct text_table *table, struct buf *out)
{
    for (size_t row = 0; row < table->row_count; row++) {
        for (size_t i = 0; i < table->column_count; i++) {
            buf_append_format(out, "%s%s", i == 0 ? "" : ", ", cell_at(table, row, i));
        }
        buf_append_u8(out, '\n');
    }
}
