/* Dockerfiles and .dockerignore: lines, flags, heredocs, words with variables, patterns. */
#include "base/cleanup.h"
#include "runtime/build/dockerfile.h"
#include "runtime/build/expand.h"
#include "runtime/build/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *look_up(void *context, const char *name, size_t size)
{
    (void)context;
    (void)name;
    return size % 2 == 0 ? "value with spaces" : NULL;
}

static void expand_all(const struct dockerfile *file, struct arena *arena)
{
    const struct expand expand = {.lookup = look_up, .escape = file->escape, .arena = arena};
    for (uint32_t i = 0; i < file->count; i++) {
        const struct dockerfile_instruction *instruction = &file->instructions[i];
        const char *words[DOCKERFILE_WORDS_MAX];
        const char *text = NULL;
        uint32_t count = 0;
        int ignored =
            expand_words(&expand, instruction->text, words, DOCKERFILE_WORDS_MAX, &count, NULL);
        ignored = expand_text(&expand, instruction->text, &text, NULL);
        for (uint32_t k = 0; k < instruction->heredoc_count; k++) {
            ignored = expand_body(&expand, instruction->heredocs[k].body, &text, NULL);
        }
        (void)ignored;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct dockerfile file;
    struct ignore ignore;
    if (dockerfile_parse(bytes_make(data, size), "Dockerfile", &arena, &file, NULL) == 0) {
        expand_all(&file, &arena);
    }
    ignore_parse(bytes_make(data, size), &arena, &ignore);
    (void)ignore_matches(&ignore, "a/b/c.txt");
    arena_deinit(&arena);
    return 0;
}
