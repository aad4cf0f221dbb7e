/* Texts from people, registries and images: names, login headers, passwd files, log lines. */
#include <string.h>

#include "base/mem.h"
#include "runtime/image/challenge.h"
#include "runtime/image/reference.h"
#include "runtime/words/log_line.h"
#include "runtime/words/mount_text.h"
#include "runtime/words/port_text.h"
#include "runtime/words/user_lookup.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reference reference;
    struct challenge challenge;
    struct log_line line;
    struct user user;
    struct err err;
    char *text = mem_alloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    int status = reference_parse(text, &reference, &err);
    if (status == 0) {
        char full[REFERENCE_TEXT_MAX + 1];
        reference_format(&reference, full);
    }
    status = challenge_parse(text, &challenge, &err);
    bool is_line = log_line_parse(bytes_make(data, size), &line);
    struct bytes half = bytes_make(data, size / 2);
    status = user_resolve(size > 0 && data[0] % 2 == 0 ? "user" : "7", half,
                          bytes_make(data + size / 2, size - size / 2), NULL, 0, &user, &err);
    json_t *list = json_array();
    json_t *object = json_object();
    status = mount_text_parse_volume(text, list, &err);
    status = mount_text_parse_mount(text, list, &err);
    status = port_text_parse(text, object, &err);
    (void)status;
    (void)is_line;
    json_decref(list);
    json_decref(object);
    mem_free(text);
    return 0;
}
