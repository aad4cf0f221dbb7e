/* Hostile and odd archives (containers.md 5.3), each unpacked into a directory of its own beside a
 * file that no archive may touch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/image/extract.h"
#include "runtime/image/in_root.h"
#include "runtime/image/tar_write.h"

struct fixture {
    char path[64];
    int base_fd; /* holds victim and root */
    int root_fd;
    struct buf archive;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    strcpy(fixture->path, "/tmp/coracle-extract.XXXXXX");
    if (mkdtemp(fixture->path) == NULL) {
        return -1;
    }
    fixture->base_fd = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int victim = openat(fixture->base_fd, "victim", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (mkdirat(fixture->base_fd, "root", 0700) != 0 || write(victim, "safe", 4) != 4) {
        return -1;
    }
    close(victim);
    fixture->root_fd = openat(fixture->base_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    buf_init(&fixture->archive);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    int status = in_root_remove(AT_FDCWD, fixture->path);
    buf_deinit(&fixture->archive);
    close(fixture->root_fd);
    close(fixture->base_fd);
    free(fixture);
    return status;
}

static void add(struct fixture *fixture, enum tar_type type, const char *path, const char *link,
                const char *data)
{
    struct tar_entry entry = {
        .type = type,
        .path = path,
        .link = link,
        .mode = type == TAR_DIRECTORY ? 0755 : 0644,
        .uid = geteuid(),
        .gid = getegid(),
        .size = (int64_t)strlen(data),
        .mtime_s = 1000000000,
        .major = 1,
        .minor = 3,
    };
    tar_write_header(&entry, &fixture->archive);
    buf_append_text(&fixture->archive, data);
    tar_write_padding(entry.size, &fixture->archive);
}

static void add_file(struct fixture *fixture, const char *path, const char *data)
{
    add(fixture, TAR_FILE, path, "", data);
}

static int unpack_with(struct fixture *fixture, const struct extract_options *options)
{
    struct err err = {.code = 0};
    struct extract_result result;
    tar_write_end(&fixture->archive);
    struct stream *stream = stream_new_bytes(buf_bytes(&fixture->archive));
    int status = extract_tar(stream, fixture->root_fd, options, &result, &err);
    stream_free(stream);
    buf_clear(&fixture->archive);
    if (status != 0) {
        assert_true(err.text[0] != '\0');
    }
    /* Whatever the archive was: nothing outside has changed. */
    struct buf victim = BUF_INIT;
    assert_int_equal(in_root_read_file(fixture->base_fd, "victim", 100, &victim), 0);
    assert_string_equal(buf_text(&victim), "safe");
    buf_deinit(&victim);
    struct stat about;
    assert_int_equal(fstatat(fixture->base_fd, "victim", &about, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(about.st_nlink, 1);
    assert_int_equal(about.st_mode & 07777, 0600);
    return status;
}

static int unpack(struct fixture *fixture)
{
    const struct extract_options options = {.is_layer = true, .keeps_owner = geteuid() == 0};
    return unpack_with(fixture, &options);
}

static void assert_content(struct fixture *fixture, const char *path, const char *expected)
{
    struct buf text = BUF_INIT;
    assert_int_equal(in_root_read_file(fixture->root_fd, path, 1000, &text), 0);
    assert_string_equal(buf_text(&text), expected);
    buf_deinit(&text);
}

static bool exists(struct fixture *fixture, const char *path)
{
    struct stat about;
    return fstatat(fixture->root_fd, path, &about, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_plain_entries_are_unpacked(void **state)
{
    struct fixture *fixture = *state;
    struct stat about;
    add(fixture, TAR_DIRECTORY, "./dir/", "", "");
    add_file(fixture, "/dir//./file", "text");
    add(fixture, TAR_SYMLINK, "dir/link", "file", "");
    add(fixture, TAR_HARD_LINK, "hard", "/dir/file", "");
    add(fixture, TAR_FIFO, "fifo", "", "");
    add_file(fixture, "made/on/the/way", "deep");
    assert_int_equal(unpack(fixture), 0);
    assert_content(fixture, "dir/link", "text");
    assert_content(fixture, "made/on/the/way", "deep");
    assert_int_equal(fstatat(fixture->root_fd, "hard", &about, 0), 0);
    assert_int_equal(about.st_nlink, 2);
    assert_int_equal(about.st_mtim.tv_sec, 1000000000);
    assert_int_equal(fstatat(fixture->root_fd, "dir", &about, 0), 0);
    assert_int_equal(about.st_mtim.tv_sec, 1000000000);
    assert_int_equal(about.st_mode & 07777, 0755);
    assert_int_equal(fstatat(fixture->root_fd, "fifo", &about, 0), 0);
    assert_true(S_ISFIFO(about.st_mode));
}

static void test_dot_dot_is_refused_everywhere_in_a_path(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {"..", "../victim", "a/../../victim", "/../victim", "a/.."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        add_file(fixture, bad[i], "evil");
        assert_int_equal(unpack(fixture), ERR_MALFORMED);
    }
}

static void test_links_do_not_lead_out(void **state)
{
    struct fixture *fixture = *state;
    char absolute[100];
    snprintf(absolute, sizeof(absolute), "%s/victim", fixture->path);
    add(fixture, TAR_SYMLINK, "up", "..", "");
    add_file(fixture, "up/victim", "evil");
    assert_int_equal(unpack(fixture), 0);
    assert_content(fixture, "victim", "evil"); /* inside: ".." of the root is the root */

    add(fixture, TAR_SYMLINK, "away", absolute, "");
    add_file(fixture, "away", "replaced");
    assert_int_equal(unpack(fixture), 0);
    assert_content(fixture, "away", "replaced");

    add(fixture, TAR_SYMLINK, "top", fixture->path, "");
    add_file(fixture, "top/victim", "evil");
    assert_true(unpack(fixture) <
                0); /* the path does not exist inside, and links are not made up */

    add(fixture, TAR_SYMLINK, "magic", "/proc/self/cwd", "");
    add_file(fixture, "magic/x", "evil");
    assert_true(unpack(fixture) < 0);
}

static void test_hard_links_stay_inside(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, TAR_HARD_LINK, "x", "../victim", "");
    assert_int_equal(unpack(fixture), ERR_MALFORMED);
    add(fixture, TAR_SYMLINK, "up", "..", "");
    add(fixture, TAR_HARD_LINK, "x", "up/victim", "");
    assert_int_equal(unpack(fixture), -ENOENT);
    add(fixture, TAR_DIRECTORY, "dir", "", "");
    add(fixture, TAR_HARD_LINK, "x", "dir", "");
    assert_int_equal(unpack(fixture), ERR_MALFORMED);
    /* A hard link to a symbolic link is the link, not what it leads to. */
    add(fixture, TAR_SYMLINK, "soft", "../victim", "");
    add(fixture, TAR_HARD_LINK, "both", "soft", "");
    add_file(fixture, "both", "own");
    assert_int_equal(unpack(fixture), 0);
    assert_content(fixture, "both", "own");
}

static void test_a_file_linked_to_itself_is_kept(void **state)
{
    struct fixture *fixture = *state;
    add_file(fixture, "file", "kept");
    add(fixture, TAR_HARD_LINK, "./file", "file", "");
    assert_int_equal(unpack(fixture), 0);
    assert_content(fixture, "file", "kept");
}

static void test_the_root_is_never_replaced(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, TAR_SYMLINK, "./", "/etc", "");
    assert_int_equal(unpack(fixture), ERR_MALFORMED);
    add_file(fixture, "/", "");
    /* A trailing slash makes an old directory entry of it: attributes only. */
    assert_int_equal(unpack(fixture), 0);
    add(fixture, TAR_DIRECTORY, ".", "", "");
    assert_int_equal(unpack(fixture), 0);
}

static void test_the_last_of_several_entries_counts(void **state)
{
    struct fixture *fixture = *state;
    add_file(fixture, "a", "one");
    add_file(fixture, "a", "two");
    add(fixture, TAR_DIRECTORY, "b", "", "");
    add_file(fixture, "b/in", "x");
    add_file(fixture, "b", "file now");
    add_file(fixture, "c", "x");
    add(fixture, TAR_DIRECTORY, "c", "", "");
    add_file(fixture, "c/in", "dir now");
    add(fixture, TAR_SYMLINK, "d", "c", "");
    add(fixture, TAR_DIRECTORY, "d", "", "");
    add_file(fixture, "d/own", "not in c");
    assert_int_equal(unpack(fixture), 0);
    assert_content(fixture, "a", "two");
    assert_content(fixture, "b", "file now");
    assert_content(fixture, "c/in", "dir now");
    assert_content(fixture, "d/own", "not in c");
    assert_false(exists(fixture, "c/own"));
}

static void test_whiteouts_become_devices_of_overlayfs(void **state)
{
    struct fixture *fixture = *state;
    struct stat about;
    if (geteuid() != 0) {
        skip();
    }
    char value[4] = "";
    add_file(fixture, "dir/.wh.gone", "");
    add_file(fixture, "opaque/.wh..wh..opq", "");
    add_file(fixture, "opaque/kept", "x");
    add_file(fixture, ".wh..wh.plnk", "");
    add_file(fixture, "own/file", "x");
    add_file(fixture, ".wh.own", ""); /* after: what lower layers have below must be hidden */
    add_file(fixture, ".wh.again", "");
    add_file(fixture, "again/new", "x"); /* before: the same */
    assert_int_equal(unpack(fixture), 0);
    assert_int_equal(fstatat(fixture->root_fd, "dir/gone", &about, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISCHR(about.st_mode) && about.st_rdev == makedev(0, 0));
    assert_false(exists(fixture, "dir/.wh.gone"));
    assert_false(exists(fixture, ".wh..wh.plnk"));
    static const char *const opaque[] = {"opaque", "own", "again"};
    for (size_t i = 0; i < 3; i++) {
        int fd = openat(fixture->root_fd, opaque[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fgetxattr(fd, "trusted.overlay.opaque", value, sizeof(value)), 1);
        close(fd);
    }
    assert_true(exists(fixture, "opaque/kept"));
    assert_true(exists(fixture, "own/file"));
    assert_true(exists(fixture, "again/new"));
}

static void test_bad_whiteouts_and_devices_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {".wh.", "a/.wh..", "a/.wh...", "a/.wh."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        add_file(fixture, bad[i], "");
        assert_int_equal(unpack(fixture), ERR_MALFORMED);
    }
    struct tar_entry entry = {.type = TAR_CHARACTER, .path = "zero", .link = "", .mode = 0600};
    tar_write_header(&entry, &fixture->archive);
    assert_int_equal(unpack(fixture), ERR_MALFORMED);
}

static void test_attributes_that_steer_overlayfs_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    static const struct tar_xattr xattrs[] = {
        {"trusted.overlay.redirect", {(const uint8_t *)"/etc", 4}},
        {"user.overlay.opaque", {(const uint8_t *)"y", 1}},
        {"user.good", {(const uint8_t *)"1", 1}},
    };
    struct tar_entry entry = {
        .type = TAR_FILE,
        .path = "file",
        .link = "",
        .mode = 0644,
        .uid = geteuid(),
        .gid = getegid(),
        .xattrs = xattrs,
        .xattr_count = 3,
    };
    char value[8];
    tar_write_header(&entry, &fixture->archive);
    assert_int_equal(unpack(fixture), 0);
    int fd = openat(fixture->root_fd, "file", O_RDONLY | O_CLOEXEC);
    assert_true(fgetxattr(fd, "trusted.overlay.redirect", value, sizeof(value)) < 0);
    assert_true(fgetxattr(fd, "user.overlay.opaque", value, sizeof(value)) < 0);
    assert_int_equal(fgetxattr(fd, "user.good", value, sizeof(value)), 1);
    close(fd);
}

static void test_limits_are_enforced(void **state)
{
    struct fixture *fixture = *state;
    const struct extract_options few = {.is_layer = true, .entries_max = 3};
    const struct extract_options small = {.is_layer = true, .bytes_max = 10};
    for (int i = 0; i < 4; i++) {
        add_file(fixture, "same", "");
    }
    assert_int_equal(unpack_with(fixture, &few), ERR_TOO_LARGE);
    add_file(fixture, "large", "0123456789a");
    assert_int_equal(unpack_with(fixture, &small), ERR_TOO_LARGE);
    char name[400];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    add_file(fixture, name, "");
    assert_int_equal(unpack(fixture), ERR_MALFORMED);
}

static void test_long_names_and_owners_survive_pax(void **state)
{
    struct fixture *fixture = *state;
    char path[1200] = "";
    for (int i = 0; i < 10; i++) {
        strcat(path, "01234567890123456789012345678901234567890123456789012345678901234567890123456"
                     "78901234567890123456789/");
    }
    strcat(path, "file");
    add_file(fixture, path, "deep");
    add(fixture, TAR_SYMLINK, "link", path, "");
    assert_int_equal(unpack(fixture), 0);
    assert_content(fixture, path, "deep");
    assert_content(fixture, "link", "deep");
}

static void test_every_truncation_is_an_error_or_harmless(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, TAR_DIRECTORY, "dir", "", "");
    add_file(fixture, "dir/file", "some text");
    const struct extract_options options = {.is_layer = true};
    struct bytes all = buf_bytes(&fixture->archive);
    for (size_t size = 1; size < all.size; size++) {
        struct err err = {.code = 0};
        struct extract_result result;
        struct stream *stream = stream_new_bytes(bytes_make(all.data, size));
        int status = extract_tar(stream, fixture->root_fd, &options, &result, &err);
        stream_free(stream);
        bool is_whole_entry = size == 512;
        assert_int_equal(status, is_whole_entry ? 0 : ERR_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain_entries_are_unpacked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dot_dot_is_refused_everywhere_in_a_path, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_links_do_not_lead_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_stay_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_linked_to_itself_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_root_is_never_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_last_of_several_entries_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whiteouts_become_devices_of_overlayfs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_bad_whiteouts_and_devices_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_attributes_that_steer_overlayfs_are_dropped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_limits_are_enforced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_names_and_owners_survive_pax, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_truncation_is_an_error_or_harmless, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
