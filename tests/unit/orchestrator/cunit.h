/* cunit.h - what the unit tests of the orchestrator share: cmocka, and JSON in test sources. */
#ifndef TESTS_UNIT_ORCHESTRATOR_CUNIT_H
#define TESTS_UNIT_ORCHESTRATOR_CUNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/objects/status.h"

/* JSON with ' instead of ", so that it reads well in C. */
static inline json_t *from_text(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *c = copy; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_error_t error;
    json_t *value = json_loads(copy, JSON_DECODE_ANY, &error);
    if (value == NULL) {
        fail_msg("bad JSON in the test: %s in %s", error.text, copy);
    }
    mem_free(copy);
    return value;
}

static inline void assert_json(const json_t *value, const char *expected_text)
{
    CLEANUP(json) json_t *expected = from_text(expected_text);
    if (!tree_equal(value, expected)) {
        char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_INDENT(1));
        fail_msg("got %s instead of %s", shown, expected_text);
    }
}

/* A refusal with this code and this text somewhere in its message; it is freed. */
static inline void assert_refusal(json_t *status, int code, const char *text)
{
    CLEANUP(json) json_t *owned = status;
    if (owned == NULL) {
        fail_msg("not refused, but expected %d %s", code, text);
    }
    assert_int_equal(status_code(owned), code);
    const char *message = tree_text_or(owned, "message", "");
    if (strstr(message, text) == NULL) {
        fail_msg("message '%s' does not contain '%s'", message, text);
    }
}

static inline void assert_accepted(json_t *status)
{
    if (status != NULL) {
        fail_msg("refused: %s", tree_text_or(status, "message", ""));
    }
}

#endif
