#include "runtime/container/spec.h"

static const struct field arg_fields[] = {
    FIELD(struct spec_seccomp_arg, index, "index", FIELD_U32),
    FIELD(struct spec_seccomp_arg, value, "value", FIELD_U64),
    FIELD(struct spec_seccomp_arg, value_two, "valueTwo", FIELD_U64),
    FIELD(struct spec_seccomp_arg, op, "op", FIELD_TEXT),
    FIELD_END,
};

static const struct field rule_fields[] = {
    FIELD(struct spec_seccomp_rule, names, "names", FIELD_TEXT_LIST),
    FIELD(struct spec_seccomp_rule, action, "action", FIELD_TEXT),
    FIELD(struct spec_seccomp_rule, errno_ret, "errnoRet", FIELD_MAYBE_U64),
    FIELD_OF(struct spec_seccomp_rule, args, "args", FIELD_LIST, arg_fields,
             struct spec_seccomp_arg),
    FIELD_END,
};

const struct field spec_seccomp_fields[] = {
    FIELD(struct spec_seccomp, default_action, "defaultAction", FIELD_TEXT),
    FIELD(struct spec_seccomp, default_errno_ret, "defaultErrnoRet", FIELD_MAYBE_U64),
    FIELD(struct spec_seccomp, architectures, "architectures", FIELD_TEXT_LIST),
    FIELD(struct spec_seccomp, flags, "flags", FIELD_TEXT_LIST),
    FIELD(struct spec_seccomp, listener_path, "listenerPath", FIELD_TEXT),
    FIELD(struct spec_seccomp, listener_metadata, "listenerMetadata", FIELD_TEXT),
    FIELD_OF(struct spec_seccomp, syscalls, "syscalls", FIELD_LIST, rule_fields,
             struct spec_seccomp_rule),
    FIELD_END,
};
