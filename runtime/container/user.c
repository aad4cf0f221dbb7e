/* user.c - names of users and groups, from the container's own files and never through libc's nss.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/file.h"
#include "runtime/container/kernel.h"
#include "runtime/container/process.h"

enum { DATABASE_SIZE_MAX = 4 << 20 }; /* a container may write its own: never without a limit */

static int read_database(int root, const char *path, struct buf *out)
{
    /* Not blocking and regular, or a FIFO would stop us (CVE-2024-9676). */
    CLEANUP(close_fd)
    int fd = kernel_openat2(root < 0 ? AT_FDCWD : root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0,
                            RESOLVE_NO_MAGICLINKS | (root < 0 ? 0 : RESOLVE_IN_ROOT));
    struct stat info;
    if (fd < 0) {
        return fd;
    }
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || info.st_size > DATABASE_SIZE_MAX) {
        return ERR_INVALID;
    }
    uint8_t *place = buf_reserve(out, (size_t)info.st_size + 1);
    size_t used = 0;
    while (used < (size_t)info.st_size) {
        ssize_t size = read(fd, place + used, (size_t)info.st_size - used);
        if (size < 0) {
            return -errno;
        }
        if (size == 0) {
            break;
        }
        used += (size_t)size;
    }
    buf_commit(out, used);
    return 0;
}

/* All of the text must be the number: "1000x" is no id (CVE-2026-30892). */
static bool parse_id(const char *text, size_t size, uint32_t *ret)
{
    uint64_t value = 0;
    if (size == 0 || size > 10) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value >= UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

struct line_field {
    const char *text;
    size_t size;
};

/* Split "a:b:c" into at most count fields. */
static size_t split(const char *line, size_t size, struct line_field *fields, size_t count)
{
    size_t used = 0;
    const char *end = line + size;
    while (used < count) {
        const char *colon = memchr(line, ':', (size_t)(end - line));
        const char *stop = colon == NULL ? end : colon;
        fields[used++] = (struct line_field){line, (size_t)(stop - line)};
        if (colon == NULL) {
            break;
        }
        line = colon + 1;
    }
    return used;
}

static bool is_text(const struct line_field *field, const char *text, size_t size)
{
    return field->size == size && memcmp(field->text, text, size) == 0;
}

/* The next line of the database; false at its end. */
static bool next_line(const char **at, const char *end, struct line_field *line)
{
    if (*at >= end) {
        return false;
    }
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    const char *stop = newline == NULL ? end : newline;
    *line = (struct line_field){*at, (size_t)(stop - *at)};
    *at = stop + 1;
    return true;
}

bool user_find_home(int root, uint32_t uid, char *out, size_t size)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (read_database(root, root < 0 ? "/etc/passwd" : "etc/passwd", &text) < 0) {
        return false;
    }
    const char *at = (const char *)text.data + text.start;
    const char *end = (const char *)text.data + text.end;
    struct line_field line;
    while (next_line(&at, end, &line)) {
        struct line_field fields[7];
        uint32_t id = 0;
        if (split(line.text, line.size, fields, 7) < 6 ||
            !parse_id(fields[2].text, fields[2].size, &id) || id != uid) {
            continue;
        }
        if (fields[5].size == 0 || fields[5].size >= size) {
            return false;
        }
        (void)snprintf(out, size, "%.*s", (int)fields[5].size, fields[5].text);
        return true;
    }
    return false;
}

static int find_user(int root, const char *name, size_t name_size, struct user_identity *ret,
                     struct err *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    uint32_t wanted = 0;
    bool is_number = parse_id(name, name_size, &wanted);
    int rc = read_database(root, root < 0 ? "/etc/passwd" : "etc/passwd", &text);
    const char *at = (const char *)text.data + text.start;
    const char *end = (const char *)text.data + text.end;
    struct line_field line;
    while (rc == 0 && next_line(&at, end, &line)) {
        struct line_field fields[7];
        uint32_t uid = 0;
        uint32_t gid = 0;
        if (split(line.text, line.size, fields, 7) < 4 ||
            !parse_id(fields[2].text, fields[2].size, &uid) ||
            !parse_id(fields[3].text, fields[3].size, &gid)) {
            continue;
        }
        if (is_number ? uid == wanted : is_text(&fields[0], name, name_size)) {
            *ret = (struct user_identity){uid, gid};
            return 0;
        }
    }
    if (is_number) {
        *ret = (struct user_identity){wanted, 0};
        return 0;
    }
    return err_set(err, ERR_NOT_FOUND,
                   "unable to find user %.*s: no matching entries in passwd file", (int)name_size,
                   name);
}

static int find_group(int root, const char *name, uint32_t *ret, struct err *err)
{
    if (parse_id(name, strlen(name), ret)) {
        return 0;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    int rc = read_database(root, root < 0 ? "/etc/group" : "etc/group", &text);
    const char *at = (const char *)text.data + text.start;
    const char *end = (const char *)text.data + text.end;
    struct line_field line;
    while (rc == 0 && next_line(&at, end, &line)) {
        struct line_field fields[4];
        if (split(line.text, line.size, fields, 4) >= 3 &&
            is_text(&fields[0], name, strlen(name)) &&
            parse_id(fields[2].text, fields[2].size, ret)) {
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "unable to find group %s: no matching entries in group file",
                   name);
}

int user_parse(int root, const char *text, struct user_identity *ret, struct err *err)
{
    const char *colon = strchr(text, ':');
    size_t size = colon == NULL ? strlen(text) : (size_t)(colon - text);
    struct user_identity identity = {0, 0};
    if (size == 0 || (colon != NULL && colon[1] == 0)) {
        return err_set(err, ERR_INVALID, "user '%s': expected UID[:GID]", text);
    }
    int rc = find_user(root, text, size, &identity, err);
    if (rc == 0 && colon != NULL) {
        rc = find_group(root, colon + 1, &identity.gid, err);
    }
    if (rc == 0) {
        *ret = identity;
    }
    return rc;
}
