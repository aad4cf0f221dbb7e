#include "runtime/words/user_lookup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/image/in_root.h"

enum { FILE_SIZE_MAX = 4 << 20, FIELDS_MAX = 7, LINE_SIZE_MAX = 65536 };

/* A strict decimal; -1 as a uid would mean "unchanged" (CVE-2024-40635 was a wrap-around). */
static bool parse_number(struct bytes text, uint32_t *ret)
{
    uint64_t value = 0;
    if (text.size == 0 || text.size > 10) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (value >= UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

static bool is_number_like(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* Split the next line at colons; false at the end of the text. */
static bool next_line(struct bytes *rest, struct bytes fields[FIELDS_MAX], size_t *ret_count)
{
    if (rest->size == 0) {
        return false;
    }
    const uint8_t *newline = memchr(rest->data, '\n', rest->size);
    size_t size = newline == NULL ? rest->size : (size_t)(newline - rest->data);
    struct bytes line = bytes_make(rest->data, size);
    size_t used = size + (newline == NULL ? 0 : 1);
    *rest = bytes_make(rest->data + used, rest->size - used);
    size_t count = 0;
    while (count < FIELDS_MAX) {
        const uint8_t *colon = line.size == 0 ? NULL : memchr(line.data, ':', line.size);
        size_t field =
            colon == NULL || count == FIELDS_MAX - 1 ? line.size : (size_t)(colon - line.data);
        fields[count++] = bytes_make(line.data, field);
        if (colon == NULL || count == FIELDS_MAX) {
            break;
        }
        line = bytes_make(line.data + field + 1, line.size - field - 1);
    }
    *ret_count = count;
    return true;
}

struct passwd_line {
    struct bytes name;
    uint32_t uid;
    uint32_t gid;
    struct bytes home;
};

static bool find_user(struct bytes passwd, const char *name, const uint32_t *uid,
                      struct passwd_line *ret)
{
    struct bytes fields[FIELDS_MAX];
    size_t count = 0;
    while (next_line(&passwd, fields, &count)) {
        struct passwd_line line;
        if (count < 6 || !parse_number(fields[2], &line.uid) ||
            !parse_number(fields[3], &line.gid)) {
            continue;
        }
        line.name = fields[0];
        line.home = fields[5];
        bool is_match =
            uid != NULL ? line.uid == *uid : bytes_equal(line.name, bytes_from_text(name));
        if (is_match) {
            *ret = line;
            return true;
        }
    }
    return false;
}

static bool find_group(struct bytes group, const char *name, uint32_t *ret)
{
    struct bytes fields[FIELDS_MAX];
    size_t count = 0;
    while (next_line(&group, fields, &count)) {
        if (count >= 3 && bytes_equal(fields[0], bytes_from_text(name)) &&
            parse_number(fields[2], ret)) {
            return true;
        }
    }
    return false;
}

static bool lists_member(struct bytes members, struct bytes name)
{
    while (members.size > 0) {
        const uint8_t *comma = memchr(members.data, ',', members.size);
        size_t size = comma == NULL ? members.size : (size_t)(comma - members.data);
        if (bytes_equal(bytes_make(members.data, size), name)) {
            return true;
        }
        size_t used = size + (comma == NULL ? 0 : 1);
        members = bytes_make(members.data + used, members.size - used);
    }
    return false;
}

static void add_group(struct user *user, uint32_t gid)
{
    for (uint32_t i = 0; i < user->group_count; i++) {
        if (user->groups[i] == gid) {
            return;
        }
    }
    if (user->group_count < USER_GROUPS_MAX) {
        user->groups[user->group_count++] = gid;
    }
}

static void add_supplementary(struct user *user, struct bytes group, struct bytes name)
{
    struct bytes fields[FIELDS_MAX];
    size_t count = 0;
    uint32_t gid = 0;
    while (next_line(&group, fields, &count)) {
        if (count >= 4 && lists_member(fields[3], name) && parse_number(fields[2], &gid)) {
            add_group(user, gid);
        }
    }
}

static int resolve_group(const char *text, struct bytes group, uint32_t *ret, struct err *err)
{
    if (find_group(group, text, ret)) {
        return 0;
    }
    if (parse_number(bytes_from_text(text), ret)) {
        return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "no group '%.100s' in the image's /etc/group", text);
}

static void set_home(struct user *user, struct bytes home)
{
    /* A newline would forge lines in whatever is made of it (CVE-2022-4318). */
    bool is_good = home.size > 0 && home.size < sizeof(user->home) && home.data[0] == '/' &&
                   memchr(home.data, '\n', home.size) == NULL &&
                   memchr(home.data, '\0', home.size) == NULL;
    (void)snprintf(user->home, sizeof(user->home), "%.*s", is_good ? (int)home.size : 1,
                   is_good ? (const char *)home.data : "/");
}

static int resolve_user(const char *name, struct bytes passwd, struct bytes group, bool has_group,
                        struct user *out, struct err *err)
{
    struct passwd_line line;
    uint32_t uid = 0;
    bool is_found = find_user(passwd, name, NULL, &line);
    if (!is_found) {
        if (!parse_number(bytes_from_text(name), &uid)) {
            return err_set(err, ERR_NOT_FOUND,
                           is_number_like(name) ? "user number '%.100s' is out of range"
                                                : "no user '%.100s' in the image's /etc/passwd",
                           name);
        }
        out->uid = uid;
        is_found = find_user(passwd, NULL, &uid, &line);
    }
    if (is_found) {
        out->uid = line.uid;
        out->gid = line.gid;
        set_home(out, line.home);
        if (!has_group) {
            add_supplementary(out, group, line.name);
        }
    }
    return 0;
}

int user_resolve(const char *text, struct bytes passwd, struct bytes group,
                 const char *const *extra, size_t extra_count, struct user *ret, struct err *err)
{
    struct user out = {.home = "/"};
    char name[256];
    const char *colon = strchr(text, ':');
    size_t size = colon == NULL ? strlen(text) : (size_t)(colon - text);
    if (size >= sizeof(name)) {
        return err_set(err, ERR_INVALID, "the user name is too long");
    }
    memcpy(name, text, size);
    name[size] = '\0';
    const char *user_name = name[0] == '\0' ? "0" : name;
    const char *group_name = colon == NULL || colon[1] == '\0' ? NULL : colon + 1;
    int status = resolve_user(user_name, passwd, group, group_name != NULL, &out, err);
    if (status == 0 && group_name != NULL) {
        status = resolve_group(group_name, group, &out.gid, err);
    }
    for (size_t i = 0; status == 0 && i < extra_count; i++) {
        uint32_t gid = 0;
        status = resolve_group(extra[i], group, &gid, err);
        if (status == 0) {
            add_group(&out, gid);
        }
    }
    if (status == 0) {
        *ret = out;
    }
    return status;
}

/* An image may well have none; a FIFO or a huge file is refused. */
static int read_file(int root_fd, const char *path, struct buf *out, struct err *err)
{
    int status = in_root_read_file(root_fd, path, FILE_SIZE_MAX, out);
    if (status == -ENOENT || status == -ENOTDIR) {
        return 0;
    }
    return status == 0 ? 0
                       : err_set(err, status, "read the image's %s: %s", path, err_text(status));
}

int user_lookup(const char *text, int root_fd, const char *const *extra, size_t extra_count,
                struct user *ret, struct err *err)
{
    CLEANUP(buf) struct buf passwd = BUF_INIT;
    CLEANUP(buf) struct buf group = BUF_INIT;
    int status = read_file(root_fd, "/etc/passwd", &passwd, err);
    if (status == 0) {
        status = read_file(root_fd, "/etc/group", &group, err);
    }
    return status != 0 ? status
                       : user_resolve(text, buf_bytes(&passwd), buf_bytes(&group), extra,
                                      extra_count, ret, err);
}
