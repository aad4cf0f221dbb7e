/* Alarms, leadership, downgrade, users and roles. */
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/client/key_range.h"
#include "kvstore/kvctl/go_text.h"
#include "kvstore/kvctl/printer.h"

static const char *alarm_name(Etcdserverpb__AlarmType type)
{
    switch (type) {
    case ETCDSERVERPB__ALARM_TYPE__NONE:
        return "NONE";
    case ETCDSERVERPB__ALARM_TYPE__NOSPACE:
        return "NOSPACE";
    case ETCDSERVERPB__ALARM_TYPE__CORRUPT:
        return "CORRUPT";
    default:
        return "UNKNOWN";
    }
}

/* As protobuf's compact text: zero members are left out, each one is followed by a space. */
static void simple_alarm(struct printer *p, const Etcdserverpb__AlarmMember *alarm)
{
    if (alarm->memberid != 0) {
        buf_append_format(p->out, "memberID:%llu ", (unsigned long long)alarm->memberid);
    }
    if (alarm->alarm != ETCDSERVERPB__ALARM_TYPE__NONE) {
        buf_append_format(p->out, "alarm:%s ", alarm_name(alarm->alarm));
    }
    buf_append_u8(p->out, '\n');
}

int print_alarms(struct printer *p, const Etcdserverpb__AlarmResponse *r, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        for (size_t i = 0; i < r->n_alarms; i++) {
            simple_alarm(p, r->alarms[i]);
        }
        return 0;
    case OUTPUT_FIELDS:
        print_fields_header(p, r->header);
        for (size_t i = 0; i < r->n_alarms; i++) {
            print_fields_id(p, "MemberID", r->alarms[i]->memberid);
            buf_append_format(p->out, "\"AlarmType\" : %s\n\n", alarm_name(r->alarms[i]->alarm));
        }
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}

int print_move_leader(struct printer *p, uint64_t from, uint64_t to,
                      const Etcdserverpb__MoveLeaderResponse *r, struct err *err)
{
    if (p->format == OUTPUT_FIELDS) {
        return print_unsupported(p, err);
    }
    CLEANUP(buf) struct buf line = BUF_INIT;
    buf_append_format(&line, "Leadership transferred from %llx to %llx", (unsigned long long)from,
                      (unsigned long long)to);
    return print_header_only(p, &r->base, r->header, buf_text(&line), err);
}

int print_downgrade(struct printer *p, const char *verb, const Etcdserverpb__DowngradeResponse *r,
                    struct err *err)
{
    if (p->format == OUTPUT_FIELDS) {
        return print_unsupported(p, err);
    }
    CLEANUP(buf) struct buf line = BUF_INIT;
    buf_append_format(&line, "Downgrade %s success, cluster version %s", verb, r->version);
    return print_header_only(p, &r->base, r->header, buf_text(&line), err);
}

int print_auth_status(struct printer *p, const Etcdserverpb__AuthStatusResponse *r, struct err *err)
{
    if (p->format == OUTPUT_FIELDS) {
        return print_unsupported(p, err);
    }
    CLEANUP(buf) struct buf lines = BUF_INIT;
    buf_append_format(&lines, "Authentication Status: %s\nAuthRevision: %llu",
                      r->enabled ? "true" : "false", (unsigned long long)r->authrevision);
    return print_header_only(p, &r->base, r->header, buf_text(&lines), err);
}

static void simple_permission(struct printer *p, const Authpb__Permission *permission)
{
    struct bytes key = bytes_make(permission->key.data, permission->key.len);
    struct bytes end = bytes_make(permission->range_end.data, permission->range_end.len);
    buf_append_u8(p->out, '\t');
    if (end.size == 0) {
        buf_append_bytes(p->out, key);
        buf_append_u8(p->out, '\n');
        return;
    }
    buf_append_u8(p->out, '[');
    buf_append_bytes(p->out, key);
    if (bytes_equal(end, key_range_everything_after)) {
        buf_append_text(p->out, ", <open ended>");
    } else {
        buf_append_text(p->out, ", ");
        buf_append_bytes(p->out, end);
        buf_append_u8(p->out, ')');
    }
    CLEANUP(buf) struct buf prefix_end = BUF_INIT;
    key_range_append_prefix_end(&prefix_end, key);
    if (key.size > 0 && bytes_equal(buf_bytes(&prefix_end), end)) {
        buf_append_text(p->out, " (prefix ");
        buf_append_bytes(p->out, key);
        buf_append_u8(p->out, ')');
    }
    buf_append_u8(p->out, '\n');
}

static void simple_role(struct printer *p, const char *name,
                        const Etcdserverpb__AuthRoleGetResponse *r)
{
    buf_append_format(p->out, "Role %s\n", name);
    if (strcmp(name, "root") == 0 && r->n_perm == 0) {
        buf_append_text(p->out, "KV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>\n");
        return;
    }
    buf_append_text(p->out, "KV Read:\n");
    for (size_t i = 0; i < r->n_perm; i++) {
        if (r->perm[i]->permtype != AUTHPB__PERMISSION__TYPE__WRITE) {
            simple_permission(p, r->perm[i]);
        }
    }
    buf_append_text(p->out, "KV Write:\n");
    for (size_t i = 0; i < r->n_perm; i++) {
        if (r->perm[i]->permtype != AUTHPB__PERMISSION__TYPE__READ) {
            simple_permission(p, r->perm[i]);
        }
    }
}

static void fields_role(struct printer *p, const Etcdserverpb__AuthRoleGetResponse *r)
{
    static const char *const types[] = {"READ", "WRITE", "READWRITE"};
    print_fields_header(p, r->header);
    for (size_t i = 0; i < r->n_perm; i++) {
        const Authpb__Permission *permission = r->perm[i];
        const char *type = (unsigned)permission->permtype < 3 ? types[permission->permtype] : "?";
        /* Two spaces: Go's Println adds one to the one that is there. */
        buf_append_format(p->out, "\"PermType\" :  %s\n\"Key\" : ", type);
        go_text_append_quoted(p->out, bytes_make(permission->key.data, permission->key.len));
        buf_append_text(p->out, "\n\"RangeEnd\" : ");
        go_text_append_quoted(p->out,
                              bytes_make(permission->range_end.data, permission->range_end.len));
        buf_append_u8(p->out, '\n');
    }
}

int print_role(struct printer *p, const char *name, const Etcdserverpb__AuthRoleGetResponse *r,
               struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        simple_role(p, name, r);
        return 0;
    case OUTPUT_FIELDS:
        fields_role(p, r);
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}

static void simple_lines(struct printer *p, char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_format(p->out, "%s\n", texts[i]);
    }
}

static void fields_names(struct printer *p, const char *label, char *const *names, size_t count)
{
    buf_append_format(p->out, "\"%s\" :", label);
    for (size_t i = 0; i < count; i++) {
        buf_append_u8(p->out, ' ');
        go_text_append_quoted(p->out, bytes_from_text(names[i]));
    }
    buf_append_u8(p->out, '\n');
}

int print_role_list(struct printer *p, const Etcdserverpb__AuthRoleListResponse *r, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        simple_lines(p, r->roles, r->n_roles);
        return 0;
    case OUTPUT_FIELDS:
        print_fields_header(p, r->header);
        fields_names(p, "Roles", r->roles, r->n_roles);
        return 0;
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}

int print_user(struct printer *p, const char *name, const Etcdserverpb__AuthUserGetResponse *r,
               struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        buf_append_format(p->out, "User: %s\nRoles:", name);
        for (size_t i = 0; i < r->n_roles; i++) {
            buf_append_format(p->out, " %s", r->roles[i]);
        }
        buf_append_u8(p->out, '\n');
        return 0;
    case OUTPUT_FIELDS:
        return print_unsupported(p, err);
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}

int print_user_list(struct printer *p, const Etcdserverpb__AuthUserListResponse *r, struct err *err)
{
    switch (p->format) {
    case OUTPUT_SIMPLE:
        simple_lines(p, r->users, r->n_users);
        return 0;
    case OUTPUT_FIELDS:
        return print_unsupported(p, err);
    default:
        return print_header_only(p, &r->base, r->header, "", err);
    }
}
