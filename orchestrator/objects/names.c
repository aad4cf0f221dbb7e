#include "orchestrator/objects/names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/objects/kinds.h"

/* No vowels and nothing that looks like one (apimachinery util/rand). */
static const char safe_letters[] = "bcdfghjklmnpqrstvwxz2456789";

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_label(const char *name, size_t size)
{
    if (size == 0 || size > NAME_LABEL_SIZE_MAX || !is_lower_alnum(name[0]) ||
        !is_lower_alnum(name[size - 1])) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!is_lower_alnum(name[i]) && name[i] != '-') {
            return false;
        }
    }
    return true;
}

bool name_is_dns1123_label(const char *name)
{
    return is_label(name, strlen(name));
}

bool name_is_dns1035_label(const char *name)
{
    return name[0] >= 'a' && name[0] <= 'z' && is_label(name, strlen(name));
}

bool name_is_dns1123_subdomain(const char *name)
{
    size_t total = strlen(name);
    if (total > NAME_SUBDOMAIN_SIZE_MAX) {
        return false;
    }
    /* Unlike a label, a part of a subdomain may be as long as the whole. */
    bool at_start = true;
    for (size_t i = 0; i <= total; i++) {
        bool is_end = i == total || name[i] == '.';
        if (is_end && (at_start || !is_lower_alnum(name[i - 1]))) {
            return false;
        }
        if (!is_end && !is_lower_alnum(name[i]) && (at_start || name[i] != '-')) {
            return false;
        }
        at_start = is_end;
    }
    return true;
}

bool name_is_path_segment(const char *name)
{
    return *name != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strpbrk(name, "/%") == NULL;
}

static bool is_qualified_part(const char *text, size_t size)
{
    if (size == 0 || size > NAME_LABEL_SIZE_MAX || !isalnum((unsigned char)text[0]) ||
        !isalnum((unsigned char)text[size - 1])) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!isalnum((unsigned char)c) && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return true;
}

bool name_is_label_key(const char *key)
{
    const char *slash = strchr(key, '/');
    if (slash == NULL) {
        return is_qualified_part(key, strlen(key));
    }
    char prefix[NAME_SUBDOMAIN_SIZE_MAX + 1];
    size_t size = (size_t)(slash - key);
    if (size > NAME_SUBDOMAIN_SIZE_MAX) {
        return false;
    }
    memcpy(prefix, key, size);
    prefix[size] = '\0';
    return name_is_dns1123_subdomain(prefix) && is_qualified_part(slash + 1, strlen(slash + 1));
}

bool name_is_label_value(const char *value)
{
    return *value == '\0' || is_qualified_part(value, strlen(value));
}

bool name_is_port_name(const char *name)
{
    size_t size = strlen(name);
    return size <= 15 && is_label(name, size) && strstr(name, "--") == NULL &&
           strpbrk(name, "abcdefghijklmnopqrstuvwxyz") != NULL;
}

bool name_is_variable_name(const char *name)
{
    if (*name == '\0') {
        return false;
    }
    for (; *name != '\0'; name++) {
        if (*name == '=' || *name < ' ' || *name > '~') {
            return false;
        }
    }
    return true;
}

bool name_is_config_key(const char *key)
{
    size_t size = strlen(key);
    if (size == 0 || size > NAME_SUBDOMAIN_SIZE_MAX || strcmp(key, ".") == 0 ||
        strncmp(key, "..", 2) == 0) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)key[i]) && strchr("-_.", key[i]) == NULL) {
            return false;
        }
    }
    return true;
}

const char *name_problem(const struct kind *kind, const char *name)
{
    if (strcmp(kind->group, "rbac.authorization.k8s.io") == 0) {
        return name_is_path_segment(name) ? NULL : "may not be '.' or '..' or contain '/' or '%'";
    }
    if (strcmp(kind->storage, "services") == 0) {
        return name_is_dns1035_label(name)
                   ? NULL
                   : "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
                     "start with an alphabetic character, and end with an alphanumeric character";
    }
    if (strcmp(kind->storage, "namespaces") == 0) {
        return name_is_dns1123_label(name)
                   ? NULL
                   : "a lowercase RFC 1123 label must consist of lower case alphanumeric "
                     "characters or '-', and must start and end with an alphanumeric character";
    }
    return name_is_dns1123_subdomain(name)
               ? NULL
               : "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                 "characters, '-' or '.', and must start and end with an alphanumeric character";
}

void names_validate_labels(const json_t *labels, const char *field, struct causes *causes)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(labels), key, value)
    {
        CLEANUP(json) json_t *shown = json_string(key);
        if (!name_is_label_key(key)) {
            causes_add_invalid(causes, field, shown,
                               "name part must consist of alphanumeric characters, '-', '_' or "
                               "'.', and must start and end with an alphanumeric character");
        }
        const char *text = json_string_value(value);
        if (text == NULL || !name_is_label_value(text)) {
            causes_add_invalid(causes, field, value,
                               "a valid label must be an empty string or consist of alphanumeric "
                               "characters, '-', '_' or '.', and must start and end with an "
                               "alphanumeric character");
        }
    }
}

static bool is_annotation_key(const char *key)
{
    char lower[NAME_SUBDOMAIN_SIZE_MAX + NAME_LABEL_SIZE_MAX + 2] = "";
    size_t size = strlen(key);
    if (size >= sizeof(lower)) {
        return false;
    }
    for (size_t i = 0; i <= size; i++) {
        lower[i] = (char)tolower((unsigned char)key[i]);
    }
    return name_is_label_key(lower);
}

void names_validate_annotations(const json_t *annotations, const char *field, struct causes *causes)
{
    size_t total = 0;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tree_mutable(annotations), key, value)
    {
        total += strlen(key) + json_string_length(value);
        if (!is_annotation_key(key)) {
            CLEANUP(json) json_t *shown = json_string(key);
            causes_add_invalid(causes, field, shown,
                               "name part must consist of alphanumeric characters, '-', '_' or "
                               "'.', and must start and end with an alphanumeric character");
        }
    }
    if (total > ANNOTATIONS_SIZE_MAX) {
        causes_add_too_long(causes, field, ANNOTATIONS_SIZE_MAX);
    }
}

char *name_generate(const char *base, struct prng *prng)
{
    char suffix[NAME_GENERATED_SUFFIX_SIZE + 1];
    for (int i = 0; i < NAME_GENERATED_SUFFIX_SIZE; i++) {
        suffix[i] = safe_letters[prng_below(prng, sizeof(safe_letters) - 1)];
    }
    suffix[NAME_GENERATED_SUFFIX_SIZE] = '\0';
    return mem_printf("%.*s%s", NAME_GENERATED_BASE_SIZE_MAX, base, suffix);
}

const char *uuid_generate(struct prng *prng, char text[UUID_SIZE])
{
    uint64_t high = prng_next(prng);
    uint64_t low = prng_next(prng);
    (void)snprintf(text, UUID_SIZE, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(high >> 32),
                   (unsigned)(high >> 16) & 0xffffU, (unsigned)high & 0xfffU,
                   ((unsigned)(low >> 48) & 0x3fffU) | 0x8000U,
                   (unsigned long long)low & 0xffffffffffffULL);
    return text;
}

const char *name_from_hash(uint64_t hash, char text[HASH_NAME_SIZE])
{
    hash ^= hash >> 32;
    for (int i = 0; i < HASH_NAME_SIZE - 1; i++) {
        text[i] = safe_letters[hash % (sizeof(safe_letters) - 1)];
        hash /= sizeof(safe_letters) - 1;
    }
    text[HASH_NAME_SIZE - 1] = '\0';
    return text;
}
