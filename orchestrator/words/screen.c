#include "orchestrator/words/screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "orchestrator/objects/tree.h"

enum { GAP = 3, CUT_MIN = 8 };

void screen_init(struct screen *screen)
{
    struct winsize size = {0};
    const char *no_color = getenv("NO_COLOR");
    bool is_terminal = isatty(STDOUT_FILENO) != 0;
    screen->is_terminal = is_terminal && (no_color == NULL || *no_color == '\0');
    screen->width = 0;
    if (is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        screen->width = size.ws_col < SCREEN_WIDTH_MIN ? SCREEN_WIDTH_MIN : size.ws_col;
    }
}

void screen_append(const struct screen *screen, struct buf *out, enum screen_tone tone,
                   const char *text)
{
    static const char *const codes[] = {"",         "\033[1m",  "\033[32m",
                                        "\033[33m", "\033[31m", "\033[2m"};
    bool is_coloured = screen->is_terminal && tone != TONE_PLAIN;
    buf_append_text(out, is_coloured ? codes[tone] : "");
    buf_append_text(out, text);
    buf_append_text(out, is_coloured ? "\033[0m" : "");
}

enum screen_tone screen_tone_of(const char *word)
{
    static const char *const good[] = {"Running", "Ready", "Succeeded", "Completed", "Active",
                                       "Bound",   "True",  "Available", "Complete",  "Normal"};
    static const char *const waits[] = {
        "Pending", "ContainerCreating",        "PodInitializing", "Terminating",
        "Unknown", "Ready,SchedulingDisabled", "Released"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (strcmp(word, good[i]) == 0) {
            return TONE_GOOD;
        }
    }
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        if (strcmp(word, waits[i]) == 0) {
            return TONE_WAIT;
        }
    }
    bool is_bad = strstr(word, "BackOff") != NULL || strstr(word, "Error") != NULL ||
                  strstr(word, "Err") == word || strcmp(word, "Failed") == 0 ||
                  strcmp(word, "Evicted") == 0 || strcmp(word, "OOMKilled") == 0 ||
                  strncmp(word, "NotReady", 8) == 0 || strcmp(word, "Warning") == 0;
    return is_bad ? TONE_BAD : TONE_PLAIN;
}

void screen_table_init(struct screen_table *table, size_t column_count)
{
    *table = (struct screen_table){.column_count = column_count};
}

void screen_table_deinit(struct screen_table *table)
{
    for (size_t i = 0; i < table->cell_count; i++) {
        mem_free(table->cells[i]);
    }
    mem_free(table->cells);
}

void screen_table_add(struct screen_table *table, const char *format, ...)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_append_vformat(&text, format, arguments);
    va_end(arguments);
    if (table->cell_count == table->capacity) {
        table->capacity = table->capacity == 0 ? 64 : table->capacity * 2;
        table->cells = mem_reallocarray(table->cells, table->capacity, sizeof(*table->cells));
    }
    char *cell = mem_strdup(buf_text(&text));
    for (char *c = cell; *c != '\0'; c++) {
        *c = (unsigned char)*c < ' ' ? ' ' : *c; /* one row is one line, and no escape sequences */
    }
    table->cells[table->cell_count++] = cell;
}

/* Characters, not bytes: continuation bytes of UTF-8 take no room. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

/* The widest column gives way until the row fits, but none below CUT_MIN. */
static void fit(size_t *widths, size_t count, size_t width)
{
    for (;;) {
        size_t total = (count - 1) * GAP;
        size_t widest = 0;
        for (size_t i = 0; i < count; i++) {
            total += widths[i];
            widest = widths[i] > widths[widest] ? i : widest;
        }
        if (width == 0 || total <= width || widths[widest] <= CUT_MIN) {
            return;
        }
        size_t over = total - width;
        size_t room = widths[widest] - CUT_MIN;
        /* A little at a time, so that two wide columns share the loss. */
        size_t step = over > 8 ? over / 4 : over;
        widths[widest] -= step < room ? step : room;
    }
}

static void append_cell(const struct screen *screen, struct buf *out, const char *text,
                        size_t width, bool is_title, bool is_last)
{
    size_t size = width_of(text);
    char *shown = mem_strdup(text);
    if (size > width) {
        size_t bytes = 0;
        for (size_t seen = 0; text[bytes] != '\0'; bytes++) {
            seen += ((unsigned char)text[bytes] & 0xc0) != 0x80;
            if (seen == width) {
                break;
            }
        }
        mem_free(shown);
        shown = mem_printf("%.*s…", (int)bytes, text);
        size = width;
    }
    screen_append(screen, out, is_title ? TONE_TITLE : screen_tone_of(text), shown);
    mem_free(shown);
    if (!is_last) {
        buf_append_format(out, "%*s", (int)(width - size + GAP), "");
    }
}

void screen_table_append(const struct screen_table *table, const struct screen *screen,
                         struct buf *out)
{
    size_t widths[SCREEN_COLUMNS_MAX] = {0};
    size_t count = table->column_count;
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t width = width_of(table->cells[i]);
        widths[i % count] = width > widths[i % count] ? width : widths[i % count];
    }
    fit(widths, count, screen->width);
    for (size_t i = 0; i < table->cell_count; i++) {
        bool is_last = i % count == count - 1;
        append_cell(screen, out, table->cells[i], widths[i % count], i < count, is_last);
        buf_append_text(out, is_last ? "\n" : "");
    }
}

static void add_value(struct screen_table *rows, const json_t *value)
{
    if (json_is_string(value)) {
        screen_table_add(rows, "%s", json_string_value(value));
    } else if (json_is_integer(value)) {
        screen_table_add(rows, "%lld", (long long)json_integer_value(value));
    } else {
        CLEANUP(free) char *text = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        screen_table_add(rows, "%s", text == NULL ? "" : text);
    }
}

void screen_append_rows(const struct screen *screen, struct buf *out, const json_t *table,
                        bool is_wide, bool has_namespace)
{
    const json_t *columns = json_object_get(table, "columnDefinitions");
    const json_t *rows = json_object_get(table, "rows");
    size_t shown[SCREEN_COLUMNS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(columns) && count < SCREEN_COLUMNS_MAX - 1; i++) {
        if (is_wide || tree_int(json_array_get(columns, i), "priority", 0) == 0) {
            shown[count++] = i;
        }
    }
    CLEANUP(screen_table) struct screen_table texts;
    screen_table_init(&texts, count + has_namespace);
    if (has_namespace) {
        screen_table_add(&texts, "NAMESPACE");
    }
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free)
        char *title = mem_strdup(tree_text_or(json_array_get(columns, shown[i]), "name", ""));
        for (char *c = title; *c != '\0'; c++) {
            *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        }
        screen_table_add(&texts, "%s", title);
    }
    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *row = json_array_get(rows, r);
        if (has_namespace) {
            screen_table_add(&texts, "%s", tree_text_or(row, "object.metadata.namespace", ""));
        }
        for (size_t i = 0; i < count; i++) {
            add_value(&texts, json_array_get(json_object_get(row, "cells"), shown[i]));
        }
    }
    screen_table_append(&texts, screen, out);
}

void screen_print(struct buf *out)
{
    (void)fwrite(buf_text(out), 1, buf_size(out), stdout);
    (void)fflush(stdout); /* a reader that is gone is noticed at the end */
    buf_clear(out);
}
