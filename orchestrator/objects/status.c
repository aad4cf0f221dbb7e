#include "orchestrator/objects/status.h"

#include <stdarg.h>
#include <string.h>

#include "base/buf.h"

static json_t *status_from_text(int code, const char *reason, const char *message)
{
    json_t *status = json_pack("{s:s, s:s, s:{}, s:s}", "kind", "Status", "apiVersion", "v1",
                               "metadata", "status", code < 400 ? "Success" : "Failure");
    if (message != NULL) {
        json_object_set_new(status, "message", json_string(message));
    }
    if (reason != NULL) {
        json_object_set_new(status, "reason", json_string(reason));
    }
    json_object_set_new(status, "code", json_integer(code));
    return status;
}

__attribute__((format(printf, 3, 0))) static json_t *
status_from_format(int code, const char *reason, const char *format, va_list arguments)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_vformat(&text, format, arguments);
    return status_from_text(code, reason, buf_text(&text));
}

json_t *status_new(int code, const char *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *status = status_from_format(code, reason, format, arguments);
    va_end(arguments);
    return status;
}

json_t *status_success(void)
{
    return status_from_text(200, NULL, NULL);
}

int status_code(const json_t *status)
{
    return (int)tree_int(status, "code", 500);
}

const char *status_reason(const json_t *status)
{
    return tree_text_or(status, "reason", "");
}

void status_set_details(json_t *status, const struct status_subject *subject, bool resource_as_kind)
{
    json_t *details = tree_make_object(status, "details");
    if (*subject->name != '\0') {
        json_object_set_new(details, "name", json_string(subject->name));
    }
    if (*subject->group != '\0') {
        json_object_set_new(details, "group", json_string(subject->group));
    }
    const char *kind = resource_as_kind ? subject->resource : subject->kind;
    json_object_set_new(details, "kind", json_string(kind));
}

static void append_resource(struct buf *text, const struct status_subject *subject)
{
    buf_append_text(text, subject->resource);
    if (*subject->group != '\0') {
        buf_append_format(text, ".%s", subject->group);
    }
}

static json_t *status_about(const struct status_subject *subject, int code, const char *reason,
                            const char *message)
{
    json_t *status = status_from_text(code, reason, message);
    status_set_details(status, subject, true);
    return status;
}

json_t *status_not_found(const struct status_subject *subject)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    append_resource(&text, subject);
    buf_append_format(&text, " \"%s\" not found", subject->name);
    return status_about(subject, 404, "NotFound", buf_text(&text));
}

json_t *status_already_exists(const struct status_subject *subject)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    append_resource(&text, subject);
    buf_append_format(&text, " \"%s\" already exists", subject->name);
    return status_about(subject, 409, "AlreadyExists", buf_text(&text));
}

json_t *status_conflict(const struct status_subject *subject, const char *format, ...)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, "Operation cannot be fulfilled on ");
    append_resource(&text, subject);
    buf_append_format(&text, " \"%s\": ", subject->name);
    va_list arguments;
    va_start(arguments, format);
    buf_append_vformat(&text, format, arguments);
    va_end(arguments);
    return status_about(subject, 409, "Conflict", buf_text(&text));
}

json_t *status_modified(const struct status_subject *subject)
{
    return status_conflict(subject, "the object has been modified; please apply your changes to "
                                    "the latest version and try again");
}

json_t *status_forbidden(const struct status_subject *subject, const char *format, ...)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    append_resource(&text, subject);
    if (*subject->name != '\0') {
        buf_append_format(&text, " \"%s\"", subject->name);
    }
    buf_append_text(&text, " is forbidden: ");
    va_list arguments;
    va_start(arguments, format);
    buf_append_vformat(&text, format, arguments);
    va_end(arguments);
    return status_about(subject, 403, "Forbidden", buf_text(&text));
}

json_t *status_bad_request(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *status = status_from_format(400, "BadRequest", format, arguments);
    va_end(arguments);
    return status;
}

json_t *status_internal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *status = status_from_format(500, "InternalError", format, arguments);
    va_end(arguments);
    return status;
}

json_t *status_expired(const char *message)
{
    return status_from_text(410, "Expired", message);
}

json_t *status_unknown_path(void)
{
    json_t *status =
        status_from_text(404, "NotFound", "the server could not find the requested resource");
    json_object_set_new(status, "details", json_object());
    return status;
}

json_t *status_too_many(const char *message, int64_t retry_after_seconds)
{
    json_t *status = status_from_text(429, "TooManyRequests", message);
    if (retry_after_seconds > 0) {
        tree_set_int(status, "details.retryAfterSeconds", retry_after_seconds);
    }
    return status;
}

void causes_deinit(struct causes *causes)
{
    json_decref(causes->list);
    causes->list = NULL;
}

void causes_add(struct causes *causes, const char *reason, const char *field, const char *message)
{
    if (causes->list == NULL) {
        causes->list = json_array();
    }
    if (json_array_size(causes->list) < CAUSES_COUNT_MAX) {
        json_array_append_new(causes->list, json_pack("{s:s, s:s, s:s}", "reason", reason,
                                                      "message", message, "field", field));
    }
}

/* A value as it is shown in messages: text in quotes, the rest as JSON. */
static char *show_value(const json_t *value)
{
    char *shown = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    return shown == NULL ? mem_strdup("null") : shown;
}

void causes_add_required(struct causes *causes, const char *field, const char *detail)
{
    bool has_detail = detail != NULL && *detail != '\0';
    CLEANUP(free)
    char *message =
        mem_printf("Required value%s%s", has_detail ? ": " : "", has_detail ? detail : "");
    causes_add(causes, "FieldValueRequired", field, message);
}

void causes_add_invalid(struct causes *causes, const char *field, const json_t *value,
                        const char *detail)
{
    CLEANUP(free) char *shown = show_value(value);
    CLEANUP(free) char *message = mem_printf("Invalid value: %s: %s", shown, detail);
    causes_add(causes, "FieldValueInvalid", field, message);
}

void causes_add_not_supported(struct causes *causes, const char *field, const char *value,
                              const char *supported_bars)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_format(&text, "Unsupported value: \"%s\": supported values: ", value);
    const char *start = supported_bars;
    while (start != NULL) {
        const char *bar = strchr(start, '|');
        int size = bar == NULL ? (int)strlen(start) : (int)(bar - start);
        buf_append_format(&text, "%s\"%.*s\"", start == supported_bars ? "" : ", ", size, start);
        start = bar == NULL ? NULL : bar + 1;
    }
    causes_add(causes, "FieldValueNotSupported", field, buf_text(&text));
}

void causes_add_duplicate(struct causes *causes, const char *field, const json_t *value)
{
    CLEANUP(free) char *shown = show_value(value);
    CLEANUP(free) char *message = mem_printf("Duplicate value: %s", shown);
    causes_add(causes, "FieldValueDuplicate", field, message);
}

void causes_add_forbidden(struct causes *causes, const char *field, const char *detail)
{
    CLEANUP(free) char *message = mem_printf("Forbidden: %s", detail);
    causes_add(causes, "FieldValueForbidden", field, message);
}

void causes_add_not_found(struct causes *causes, const char *field, const char *value)
{
    CLEANUP(free) char *message = mem_printf("Not found: \"%s\"", value);
    causes_add(causes, "FieldValueNotFound", field, message);
}

void causes_add_too_long(struct causes *causes, const char *field, size_t bytes_max)
{
    CLEANUP(free) char *message = mem_printf("Too long: may not be more than %zu bytes", bytes_max);
    causes_add(causes, "FieldValueTooLong", field, message);
}

static void append_cause(struct buf *text, const json_t *cause)
{
    const char *field = tree_text_or(cause, "field", "");
    const char *separator = *field == '\0' ? "" : ": ";
    buf_append_format(text, "%s%s%s", field, separator, tree_text_or(cause, "message", ""));
}

json_t *status_invalid(const struct status_subject *subject, struct causes *take_causes)
{
    if (causes_are_empty(take_causes)) {
        return NULL;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_append_text(&text, subject->kind);
    if (*subject->group != '\0') {
        buf_append_format(&text, ".%s", subject->group);
    }
    buf_append_format(&text, " \"%s\" is invalid: ", subject->name);
    size_t count = json_array_size(take_causes->list);
    if (count > 1) {
        buf_append_text(&text, "[");
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_text(&text, ", ");
        }
        append_cause(&text, json_array_get(take_causes->list, i));
    }
    if (count > 1) {
        buf_append_text(&text, "]");
    }
    json_t *status = status_from_text(422, "Invalid", buf_text(&text));
    status_set_details(status, subject, false);
    json_object_set_new(tree_find(status, "details"), "causes", TAKE_PTR(take_causes->list));
    return status;
}
