#include "runtime/build/dockerfile.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "runtime/image/json.h"

struct reader {
    const char *name;
    struct bytes rest;
    uint32_t line; /* of what was read last */
    struct arena *arena;
    char escape;
};

static const char *const kind_names[] = {
#define X(name) #name,
    DOCKERFILE_KINDS(X)
#undef X
};
enum { KIND_COUNT = sizeof(kind_names) / sizeof(kind_names[0]) };

const char *dockerfile_kind_name(enum dockerfile_kind kind)
{
    return kind_names[kind];
}

const char *dockerfile_flag(const struct dockerfile_instruction *instruction, const char *name)
{
    size_t size = strlen(name);
    for (uint32_t i = 0; i < instruction->flag_count; i++) {
        const char *flag = instruction->flags[i];
        if (strncmp(flag, name, size) == 0 && (flag[size] == '=' || flag[size] == '\0')) {
            return flag[size] == '=' ? flag + size + 1 : "";
        }
    }
    return NULL;
}

/* A line without its end; false at the end of the file. */
static bool next_line(struct reader *reader, struct bytes *ret)
{
    if (reader->rest.size == 0) {
        return false;
    }
    const uint8_t *newline = memchr(reader->rest.data, '\n', reader->rest.size);
    size_t size = newline == NULL ? reader->rest.size : (size_t)(newline - reader->rest.data);
    size_t used = size + (newline == NULL ? 0 : 1);
    *ret = bytes_make(reader->rest.data, size);
    if (size > 0 && ret->data[size - 1] == '\r') {
        ret->size--;
    }
    reader->rest = bytes_make(reader->rest.data + used, reader->rest.size - used);
    reader->line++;
    return true;
}

static struct bytes trim_start(struct bytes text)
{
    while (text.size > 0 && isspace(text.data[0])) {
        text = bytes_make(text.data + 1, text.size - 1);
    }
    return text;
}

static struct bytes trim_end(struct bytes text)
{
    while (text.size > 0 && isspace(text.data[text.size - 1])) {
        text.size--;
    }
    return text;
}

/* "# key=value" lines at the very top, before anything else. */
static void read_directives(struct reader *reader)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    if (bytes_has_prefix(reader->rest, bytes_make(mark, sizeof(mark)))) {
        reader->rest = bytes_make(reader->rest.data + 3, reader->rest.size - 3);
    }
    for (;;) {
        struct reader before = *reader;
        struct bytes line;
        if (!next_line(reader, &line)) {
            return;
        }
        line = trim_start(line);
        const uint8_t *equals = line.size == 0 ? NULL : memchr(line.data, '=', line.size);
        if (line.size == 0 || line.data[0] != '#' || equals == NULL) {
            *reader = before;
            return;
        }
        struct bytes key =
            trim_end(trim_start(bytes_make(line.data + 1, (size_t)(equals - line.data - 1))));
        struct bytes value = trim_end(
            trim_start(bytes_make(equals + 1, line.size - (size_t)(equals - line.data) - 1)));
        bool is_escape = key.size == 6 && strncasecmp((const char *)key.data, "escape", 6) == 0;
        if (is_escape && value.size == 1 && value.data[0] == '`') {
            reader->escape = '`';
        }
        for (size_t i = 0; i < key.size; i++) {
            if (!isalnum(key.data[i])) {
                *reader = before; /* an ordinary comment with an equals sign */
                return;
            }
        }
    }
}

/* An instruction with its continuation lines joined; comments between them are left out. */
static bool read_logical(struct reader *reader, struct buf *out, uint32_t *ret_line)
{
    struct bytes line;
    bool has_begun = false;
    buf_clear(out);
    while (next_line(reader, &line)) {
        struct bytes start = trim_start(line);
        if (start.size == 0 || start.data[0] == '#') {
            continue; /* also between continuation lines */
        }
        if (!has_begun) {
            *ret_line = reader->line;
            has_begun = true;
        }
        struct bytes end = trim_end(line);
        bool goes_on = end.size > 0 && end.data[end.size - 1] == (uint8_t)reader->escape;
        if (!goes_on) {
            buf_append_bytes(out, buf_size(out) == 0 ? start : line);
            return true;
        }
        end.size--;
        buf_append_bytes(out, buf_size(out) == 0 ? trim_start(end) : end);
    }
    return has_begun;
}

static int fail(const char *name, uint32_t line, const char *text, struct err *err)
{
    return err_set(err, ERR_MALFORMED, "%s:%u: %s", name, line, text);
}

static int take_kind(const char **at, const char *name, uint32_t line, enum dockerfile_kind *ret,
                     struct err *err)
{
    size_t size = strcspn(*at, " \t\n");
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (strlen(kind_names[kind]) == size && strncasecmp(kind_names[kind], *at, size) == 0) {
            *ret = (enum dockerfile_kind)kind;
            *at += size + strspn(*at + size, " \t\n");
            return 0;
        }
    }
    return err_set(err, ERR_MALFORMED, "%s:%u: unknown instruction '%.*s'", name, line,
                   (int)(size > 40 ? 40 : size), *at);
}

static int take_flags(const char **at, const char *name, struct dockerfile_instruction *out,
                      struct arena *arena, struct err *err)
{
    bool has_flags = out->kind == DOCKERFILE_FROM || out->kind == DOCKERFILE_RUN ||
                     out->kind == DOCKERFILE_COPY || out->kind == DOCKERFILE_ADD ||
                     out->kind == DOCKERFILE_HEALTHCHECK;
    while (has_flags && (*at)[0] == '-' && (*at)[1] == '-') {
        size_t size = strcspn(*at, " \t\n");
        if (out->flag_count == DOCKERFILE_FLAGS_MAX) {
            return fail(name, out->line, "too many flags", err);
        }
        out->flags[out->flag_count++] = arena_text(arena, bytes_make(*at + 2, size - 2));
        *at += size + strspn(*at + size, " \t\n");
    }
    return 0;
}

/* The exec form must be a list of texts; anything else that starts with [ is the shell form. */
static int take_exec_form(struct dockerfile_instruction *out, struct arena *arena)
{
    json_t *list = NULL;
    if (out->text[0] != '[' ||
        json_parse_any(bytes_from_text(out->text), "exec form", &list, NULL) != 0) {
        return 0;
    }
    bool is_good = json_is_array(list) && json_array_size(list) <= DOCKERFILE_WORDS_MAX;
    for (size_t i = 0; is_good && i < json_array_size(list); i++) {
        is_good = json_is_string(json_array_get(list, i));
    }
    if (is_good) {
        out->is_exec = true;
        out->word_count = (uint32_t)json_array_size(list);
        out->words = arena_alloc(arena, (out->word_count + 1) * sizeof(*out->words));
        for (uint32_t i = 0; i < out->word_count; i++) {
            out->words[i] = arena_strdup(arena, json_string_value(json_array_get(list, i)));
        }
    }
    json_decref(list);
    return 0;
}

int dockerfile_parse_line(const char *text, const char *name, uint32_t line, struct arena *arena,
                          struct dockerfile_instruction *ret, struct err *err)
{
    struct dockerfile_instruction out = {.line = line};
    const char *at = text + strspn(text, " \t");
    int status = take_kind(&at, name, line, &out.kind, err);
    if (status == 0) {
        status = take_flags(&at, name, &out, arena, err);
    }
    if (status != 0) {
        return status;
    }
    out.text = arena_text(arena, trim_end(bytes_from_text(at)));
    if (out.text[0] == '\0') {
        return err_set(err, ERR_MALFORMED, "%s:%u: %s: needs an argument", name, line,
                       kind_names[out.kind]);
    }
    bool has_exec_form = out.kind == DOCKERFILE_RUN || out.kind == DOCKERFILE_CMD ||
                         out.kind == DOCKERFILE_ENTRYPOINT || out.kind == DOCKERFILE_SHELL ||
                         out.kind == DOCKERFILE_VOLUME || out.kind == DOCKERFILE_COPY ||
                         out.kind == DOCKERFILE_ADD;
    if (has_exec_form) {
        status = take_exec_form(&out, arena);
    }
    if (status == 0 && out.kind == DOCKERFILE_SHELL && !out.is_exec) {
        status = fail(name, line, "SHELL: needs a JSON list", err);
    }
    if (status == 0) {
        *ret = out;
    }
    return status;
}

/* ---- heredocs ---- */

/* The body up to a line that is the name alone. */
static int read_body(struct reader *reader, struct dockerfile_heredoc *heredoc, bool strips_tabs,
                     struct err *err)
{
    struct buf body = BUF_INIT;
    struct bytes line;
    uint32_t start = reader->line;
    while (next_line(reader, &line)) {
        while (strips_tabs && line.size > 0 && line.data[0] == '\t') {
            line = bytes_make(line.data + 1, line.size - 1);
        }
        if (bytes_equal(line, bytes_from_text(heredoc->name))) {
            heredoc->body = arena_text(reader->arena, buf_bytes(&body));
            buf_deinit(&body);
            return 0;
        }
        buf_append_bytes(&body, line);
        buf_append_text(&body, "\n");
    }
    buf_deinit(&body);
    return err_set(err, ERR_MALFORMED, "%s:%u: the heredoc '%.60s' has no end", reader->name, start,
                   heredoc->name);
}

/* <<NAME, <<-NAME, <<"NAME" */
static int read_heredocs(struct reader *reader, struct dockerfile_instruction *out, struct err *err)
{
    for (const char *at = out->text; (at = strstr(at, "<<")) != NULL;) {
        if (at[2] == '<') {
            at += 3; /* a here-string of the shell */
            continue;
        }
        bool strips_tabs = at[2] == '-';
        const char *name = at + 2 + (strips_tabs ? 1 : 0);
        char quote = *name == '"' || *name == '\'' ? *name : '\0';
        name += quote != '\0' ? 1 : 0;
        size_t size = 0;
        while (isalnum((unsigned char)name[size]) || name[size] == '_' || name[size] == '.') {
            size++;
        }
        if (size == 0 || (quote != '\0' && name[size] != quote)) {
            at += 2;
            continue;
        }
        if (out->heredoc_count == DOCKERFILE_HEREDOCS_MAX) {
            return fail(reader->name, out->line, "too many heredocs", err);
        }
        struct dockerfile_heredoc *heredoc = &out->heredocs[out->heredoc_count++];
        heredoc->name = arena_text(reader->arena, bytes_make(name, size));
        heredoc->expands = quote == '\0';
        int status = read_body(reader, heredoc, strips_tabs, err);
        if (status != 0) {
            return status;
        }
        at = name + size;
    }
    return 0;
}

static int parse_all(struct reader *reader, struct dockerfile *out, struct buf *logical,
                     struct err *err)
{
    uint32_t capacity = 0;
    uint32_t line = 0;
    while (read_logical(reader, logical, &line)) {
        if (out->count == DOCKERFILE_INSTRUCTIONS_MAX) {
            return err_set(err, ERR_TOO_LARGE, "%s: more than %d instructions", reader->name,
                           DOCKERFILE_INSTRUCTIONS_MAX);
        }
        if (out->count == capacity) {
            capacity = capacity == 0 ? 32 : capacity * 2;
            struct dockerfile_instruction *grown =
                arena_alloc(reader->arena, capacity * sizeof(*grown));
            if (out->count > 0) {
                memcpy(grown, out->instructions, out->count * sizeof(*grown));
            }
            out->instructions = grown;
        }
        struct dockerfile_instruction *instruction = &out->instructions[out->count];
        int status = dockerfile_parse_line(buf_text(logical), reader->name, line, reader->arena,
                                           instruction, err);
        bool has_heredocs = status == 0 && (instruction->kind == DOCKERFILE_RUN ||
                                            instruction->kind == DOCKERFILE_COPY ||
                                            instruction->kind == DOCKERFILE_ADD);
        if (has_heredocs && !instruction->is_exec) {
            status = read_heredocs(reader, instruction, err);
        }
        if (status != 0) {
            return status;
        }
        out->count++;
    }
    return 0;
}

int dockerfile_parse(struct bytes text, const char *name, struct arena *arena,
                     struct dockerfile *ret, struct err *err)
{
    struct reader reader = {.name = name, .rest = text, .arena = arena, .escape = '\\'};
    struct dockerfile out = {.name = name, .count = 0};
    struct buf logical = BUF_INIT;
    if (text.size > DOCKERFILE_SIZE_MAX) {
        return err_set(err, ERR_TOO_LARGE, "%s: larger than %d bytes", name, DOCKERFILE_SIZE_MAX);
    }
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) {
        return err_set(err, ERR_MALFORMED, "%s: not a text file", name);
    }
    read_directives(&reader);
    int status = parse_all(&reader, &out, &logical, err);
    buf_deinit(&logical);
    out.escape = reader.escape;
    bool has_stage = false;
    for (uint32_t i = 0; status == 0 && i < out.count && !has_stage; i++) {
        has_stage = out.instructions[i].kind == DOCKERFILE_FROM;
        if (!has_stage && out.instructions[i].kind != DOCKERFILE_ARG) {
            status = fail(name, out.instructions[i].line,
                          "only ARG may stand before the first FROM", err);
        }
    }
    if (status == 0 && !has_stage) {
        status = err_set(err, ERR_MALFORMED, "%s: there is no FROM", name);
    }
    if (status == 0) {
        *ret = out;
    }
    return status;
}
