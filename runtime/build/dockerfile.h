/* dockerfile.h - reading Dockerfiles. Pure.
 *
 * Source: the Dockerfile reference of BuildKit (containers.md 7.1, 7.2): directives, continuation
 * lines, comments, flags, exec forms, heredocs. Variables are expanded later (expand.h). */
#ifndef RUNTIME_BUILD_DOCKERFILE_H
#define RUNTIME_BUILD_DOCKERFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    DOCKERFILE_SIZE_MAX = 1 << 20,
    DOCKERFILE_INSTRUCTIONS_MAX = 2000,
    DOCKERFILE_FLAGS_MAX = 16,
    DOCKERFILE_HEREDOCS_MAX = 16,
    DOCKERFILE_WORDS_MAX = 1000,
};

/* name, constant */
#define DOCKERFILE_KINDS(X)                                                                        \
    X(ADD)                                                                                         \
    X(ARG)                                                                                         \
    X(CMD)                                                                                         \
    X(COPY)                                                                                        \
    X(ENTRYPOINT)                                                                                  \
    X(ENV)                                                                                         \
    X(EXPOSE)                                                                                      \
    X(FROM)                                                                                        \
    X(HEALTHCHECK)                                                                                 \
    X(LABEL)                                                                                       \
    X(MAINTAINER)                                                                                  \
    X(ONBUILD)                                                                                     \
    X(RUN)                                                                                         \
    X(SHELL)                                                                                       \
    X(STOPSIGNAL)                                                                                  \
    X(USER)                                                                                        \
    X(VOLUME)                                                                                      \
    X(WORKDIR)

enum dockerfile_kind {
#define X(name) DOCKERFILE_##name,
    DOCKERFILE_KINDS(X)
#undef X
};

struct dockerfile_heredoc {
    const char *name;
    const char *body;
    bool expands; /* the name was not quoted */
};

struct dockerfile_instruction {
    enum dockerfile_kind kind;
    uint32_t line;    /* counted from 1 */
    const char *text; /* after name and flags, one line, white space trimmed */
    const char *flags[DOCKERFILE_FLAGS_MAX]; /* "from=build": without the dashes */
    uint32_t flag_count;
    bool is_exec;       /* the text is a JSON list: words */
    const char **words; /* of the exec form */
    uint32_t word_count;
    struct dockerfile_heredoc heredocs[DOCKERFILE_HEREDOCS_MAX];
    uint32_t heredoc_count;
};

struct dockerfile {
    const char *name; /* as given: messages start with "NAME:LINE: " */
    char escape;      /* '\\' or '`' */
    struct dockerfile_instruction *instructions;
    uint32_t count;
};

/* Everything of *ret lives in the arena. ERR_MALFORMED and ERR_TOO_LARGE name the line. */
MUST_USE int dockerfile_parse(struct bytes text, const char *name, struct arena *arena,
                              struct dockerfile *ret, struct err *err);
/* One instruction without continuation lines, as ONBUILD stores them. */
MUST_USE int dockerfile_parse_line(const char *text, const char *name, uint32_t line,
                                   struct arena *arena, struct dockerfile_instruction *ret,
                                   struct err *err);

const char *dockerfile_kind_name(enum dockerfile_kind kind);
/* The value of a flag: "" when it has none, NULL when it is absent. */
const char *dockerfile_flag(const struct dockerfile_instruction *instruction, const char *name);

#endif
