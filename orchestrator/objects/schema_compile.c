/* schema_compile.c - the build tool that turns schema/ *.types into a C table.
 *
 *     # a comment
 *     type PodSpec [atomic] [open] [-- one sentence]
 *         <protobuf number> <field> [list|map] <type> [attribute...] [-- one sentence]
 *
 * Types: text bool int32 int64 double bytes quantity intOrString time microTime duration json
 * texts, or the name of another type. Attributes: required pointer inline merge[=key] retainKeys
 * replace keys=a,b set atomic values=a|b default=<JSON>. The order of types does not matter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPES_MAX = 1000, FIELDS_MAX = 6000, LINE_SIZE_MAX = 1000 };

struct field {
    char *line[12]; /* words after the field's name; NULL-terminated */
    char *number;
    char *name;
    char *about;
    int type; /* index of the type it belongs to */
};

struct type {
    char *name;
    char *about;
    char flags[64];
    int index;
};

static struct type types[TYPES_MAX];
static struct field fields[FIELDS_MAX];
static int type_count;
static int field_count;

static const struct {
    const char *word;
    const char *constant;
} primitives[] = {
    {"text", "SCHEMA_TEXT"},         {"bool", "SCHEMA_BOOL"},
    {"int32", "SCHEMA_INT32"},       {"int64", "SCHEMA_INT64"},
    {"double", "SCHEMA_DOUBLE"},     {"bytes", "SCHEMA_BYTES"},
    {"quantity", "SCHEMA_QUANTITY"}, {"intOrString", "SCHEMA_INT_OR_STRING"},
    {"time", "SCHEMA_TIME"},         {"microTime", "SCHEMA_MICRO_TIME"},
    {"duration", "SCHEMA_DURATION"}, {"json", "SCHEMA_JSON"},
    {"texts", "SCHEMA_TEXTS"},
};

static const struct {
    const char *word;
    const char *constant;
} flag_words[] = {
    {"required", "SCHEMA_REQUIRED"},
    {"pointer", "SCHEMA_POINTER"},
    {"inline", "SCHEMA_INLINE"},
    {"merge", "SCHEMA_MERGE"},
    {"retainKeys", "SCHEMA_RETAIN_KEYS"},
    {"replace", "SCHEMA_REPLACE"},
    {"set", "SCHEMA_SET"},
    {"atomic", "SCHEMA_ATOMIC"},
    {"open", "SCHEMA_OPEN"},
};

_Noreturn static void fail(const char *what, const char *which)
{
    fprintf(stderr, "schema_compile: %s: %s\n", what, which);
    exit(1);
}

static void append(char *text, size_t size, const char *more)
{
    size_t used = strlen(text);
    if ((size_t)snprintf(text + used, size - used, "%s", more) >= size - used) {
        fail("too many flags", text);
    }
}

static const char *flag_constant(const char *word)
{
    for (size_t i = 0; i < sizeof(flag_words) / sizeof(flag_words[0]); i++) {
        if (strcmp(flag_words[i].word, word) == 0) {
            return flag_words[i].constant;
        }
    }
    return NULL;
}

static const char *primitive_constant(const char *word)
{
    for (size_t i = 0; i < sizeof(primitives) / sizeof(primitives[0]); i++) {
        if (strcmp(primitives[i].word, word) == 0) {
            return primitives[i].constant;
        }
    }
    return NULL;
}

static void add_type(char *words[], int count, char *about)
{
    if (type_count == TYPES_MAX || count < 2) {
        fail("bad type line", count < 2 ? "no name" : words[1]);
    }
    struct type *type = &types[type_count++];
    type->name = strdup(words[1]);
    type->about = about;
    for (int i = 2; i < count; i++) {
        const char *constant = flag_constant(words[i]);
        if (constant == NULL) {
            fail("unknown word for a type", words[i]);
        }
        append(type->flags, sizeof(type->flags), type->flags[0] == '\0' ? "" : " | ");
        append(type->flags, sizeof(type->flags), constant);
    }
}

static void add_field(char *words[], int count, char *about)
{
    if (field_count == FIELDS_MAX || count < 3 || type_count == 0 || count > 12) {
        fail("bad field line", words[0]);
    }
    struct field *field = &fields[field_count++];
    field->number = strdup(words[0]);
    field->name = strdup(words[1]);
    field->about = about;
    field->type = type_count - 1;
    for (int i = 2; i < count; i++) {
        field->line[i - 2] = strdup(words[i]);
    }
}

static void read_line(char *line)
{
    char *about = NULL;
    char *dashes = strstr(line, " -- ");
    if (dashes != NULL) {
        *dashes = '\0';
        dashes[4 + strcspn(dashes + 4, "\n")] = '\0';
        about = strdup(dashes + 4);
    }
    char *words[16];
    int count = 0;
    char *rest = line;
    for (char *word = strsep(&rest, " \n"); word != NULL; word = strsep(&rest, " \n")) {
        if (*word == '\0') {
            continue;
        }
        if (count == 16) {
            fail("too many words", line);
        }
        words[count++] = word;
    }
    if (count == 0 || words[0][0] == '#') {
        free(about);
        return;
    }
    if (strcmp(words[0], "type") == 0) {
        add_type(words, count, about);
    } else {
        add_field(words, count, about);
    }
}

static int compare_types(const void *a, const void *b)
{
    return strcmp(types[*(const int *)a].name, types[*(const int *)b].name);
}

static int find_type(const char *name)
{
    for (int i = 0; i < type_count; i++) {
        if (strcmp(types[i].name, name) == 0) {
            return types[i].index;
        }
    }
    fail("unknown type", name);
}

static void write_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
    fputc('"', out);
}

enum { FLAGS_SIZE = 256 };

static void write_attribute(FILE *out, const char *word, char flags[FLAGS_SIZE])
{
    static const struct {
        const char *prefix;
        const char *member;
    } members[] = {{"merge=", "merge_key"},
                   {"keys=", "list_keys"},
                   {"values=", "values"},
                   {"default=", "fallback"}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        size_t size = strlen(members[i].prefix);
        if (strncmp(word, members[i].prefix, size) == 0) {
            fprintf(out, ", .%s = ", members[i].member);
            write_text(out, word + size);
            if (i == 0) {
                append(flags, FLAGS_SIZE, " | SCHEMA_MERGE");
            }
            return;
        }
    }
    const char *constant = flag_constant(word);
    if (constant == NULL) {
        fail("unknown attribute", word);
    }
    append(flags, FLAGS_SIZE, " | ");
    append(flags, FLAGS_SIZE, constant);
}

static void write_field(FILE *out, const struct field *field)
{
    char flags[FLAGS_SIZE] = "0";
    fprintf(out, "    {.name = \"%s\", .number = %s", field->name, field->number);
    int at = 0;
    if (strcmp(field->line[0], "list") == 0 || strcmp(field->line[0], "map") == 0) {
        fprintf(out, ", .shape = %s", field->line[0][0] == 'l' ? "SCHEMA_LIST" : "SCHEMA_MAP");
        at++;
    }
    if (field->line[at] == NULL) {
        fail("no type", field->name);
    }
    const char *primitive = primitive_constant(field->line[at]);
    if (primitive != NULL) {
        fprintf(out, ", .type = %s", primitive);
    } else {
        fprintf(out, ", .type = SCHEMA_OBJECT, .object = &schema_types[%d]",
                find_type(field->line[at]));
    }
    for (at++; field->line[at] != NULL; at++) {
        write_attribute(out, field->line[at], flags);
    }
    if (field->about != NULL) {
        fputs(", .about = ", out);
        write_text(out, field->about);
    }
    fprintf(out, ", .flags = %s},\n", flags);
}

static void write_types(FILE *out, const int order[])
{
    fputs("#include \"orchestrator/objects/schema.h\"\n\n", out);
    for (int i = 0; i < type_count; i++) {
        fprintf(out, "static const struct schema_field fields_%d[] = {\n", i);
        for (int f = 0; f < field_count; f++) {
            if (fields[f].type == order[i]) {
                write_field(out, &fields[f]);
            }
        }
        fputs("};\n", out);
    }
    fputs("const struct schema schema_types[] = {\n", out);
    for (int i = 0; i < type_count; i++) {
        const struct type *type = &types[order[i]];
        fprintf(out, "    {.name = \"%s\", .fields = fields_%d, .field_count = ", type->name, i);
        fprintf(out, "sizeof(fields_%d) / sizeof(fields_%d[0]), .flags = %s, .about = ", i, i,
                type->flags[0] == '\0' ? "0" : type->flags);
        if (type->about == NULL) {
            fputs("NULL", out);
        } else {
            write_text(out, type->about);
        }
        fputs("},\n", out);
    }
    fprintf(out, "};\nconst size_t schema_type_count = %d;\n", type_count);
}

int main(int argc, char *argv[])
{
    if (argc < 3) {
        fail("usage", "schema_compile OUT.c IN.types...");
    }
    char line[LINE_SIZE_MAX];
    for (int i = 2; i < argc; i++) {
        FILE *in = fopen(argv[i], "r");
        if (in == NULL) {
            fail("cannot read", argv[i]);
        }
        while (fgets(line, sizeof(line), in) != NULL) {
            read_line(line);
        }
        fclose(in);
    }
    int order[TYPES_MAX];
    for (int i = 0; i < type_count; i++) {
        order[i] = i;
    }
    qsort(order, (size_t)type_count, sizeof(order[0]), compare_types);
    for (int i = 0; i < type_count; i++) {
        types[order[i]].index = i;
        if (i > 0 && strcmp(types[order[i]].name, types[order[i - 1]].name) == 0) {
            fail("type written twice", types[order[i]].name);
        }
    }
    FILE *out = fopen(argv[1], "w");
    if (out == NULL) {
        fail("cannot write", argv[1]);
    }
    write_types(out, order);
    if (fclose(out) != 0) {
        fail("cannot write", argv[1]);
    }
    return 0;
}
