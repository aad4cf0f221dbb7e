#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/container/file.h"
#include "runtime/container/process.h"
#include "runtime/container/target.h"

/* A directory to be taken for a container's root, with "outside" beside it. */
struct world {
    char path[64];
    int root;
    int outside;
};

static int set_up(void **state)
{
    static struct world world;
    (void)snprintf(world.path, sizeof world.path, "/tmp/test-target.XXXXXX");
    char name[128];
    if (mkdtemp(world.path) == NULL) {
        return -1;
    }
    (void)snprintf(name, sizeof name, "%s/root", world.path);
    (void)mkdir(name, 0755);
    world.root = open(name, O_RDONLY | O_DIRECTORY);
    (void)snprintf(name, sizeof name, "%s/outside", world.path);
    (void)mkdir(name, 0755);
    world.outside = open(name, O_RDONLY | O_DIRECTORY);
    *state = &world;
    return world.root < 0 || world.outside < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    (void)close(world->root);
    (void)close(world->outside);
    return file_remove_tree(AT_FDCWD, world->path);
}

static bool exists(int dir, const char *path)
{
    return faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make(int root, const char *path, bool is_directory)
{
    struct err err = {.code = 0};
    int fd = target_make(root, path, is_directory, 0, &err);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void test_missing_directories_and_files_are_made(void **state)
{
    struct world *world = *state;
    make(world->root, "/a/b/c", true);
    assert_true(exists(world->root, "a/b/c"));
    make(world->root, "//x/./y", false);
    struct stat info;
    assert_int_equal(fstatat(world->root, "x/y", &info, 0), 0);
    assert_true(S_ISREG(info.st_mode));
}

static void test_links_lead_nowhere_but_into_the_root(void **state)
{
    struct world *world = *state;
    assert_int_equal(symlinkat("../outside", world->root, "up"), 0);
    assert_int_equal(symlinkat("/../../../../../etc", world->root, "conf"), 0);
    assert_int_equal(symlinkat("/dangling/deep", world->root, "far"), 0);
    make(world->root, "/up/made", true);
    make(world->root, "/conf/made", false);
    make(world->root, "/far/made", true);
    assert_false(exists(world->outside, "made"));
    assert_false(exists(AT_FDCWD, "/etc/made"));
    assert_true(exists(world->root, "outside/made"));
    assert_true(exists(world->root, "dangling/deep/made"));
}

static void test_a_circle_of_links_is_an_error(void **state)
{
    struct world *world = *state;
    struct err err = {.code = 0};
    assert_int_equal(symlinkat("two", world->root, "one"), 0);
    assert_int_equal(symlinkat("one", world->root, "two"), 0);
    assert_true(target_make(world->root, "/one/x", true, 0, &err) < 0);
    assert_non_null(strstr(err.text, "'/one/x'"));
}

static void test_dots_cannot_climb_out(void **state)
{
    struct world *world = *state;
    make(world->root, "/../../../../climbed", true);
    assert_true(exists(world->root, "climbed"));
}

static void test_users_are_found_in_the_root_only(void **state)
{
    struct world *world = *state;
    struct user_identity identity;
    struct err err = {.code = 0};
    char home[64];
    (void)unlinkat(world->root, "etc/made", 0);
    make(world->root, "/etc", true);
    static const char passwd[] =
        "root:x:0:0::/root:\nbad line\nbob:x:1000:1001:B:/home/bob:/bin/sh\n";
    assert_int_equal(file_replace(world->root, "etc/passwd", bytes_from_text(passwd), 0644), 0);
    assert_int_equal(
        file_replace(world->root, "etc/group", bytes_from_text("staff:x:50:bob\n"), 0644), 0);
    assert_int_equal(user_parse(world->root, "bob", &identity, &err), 0);
    assert_int_equal(identity.uid, 1000);
    assert_int_equal(identity.gid, 1001);
    assert_int_equal(user_parse(world->root, "7:staff", &identity, &err), 0);
    assert_int_equal(identity.uid, 7);
    assert_int_equal(identity.gid, 50);
    static const char *const bad[] = {"",   ":",          "bob:", ":5",        "nobody",
                                      "5x", "4294967295", "-1",   "1:nogroup", "1:4294967296"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_true(user_parse(world->root, bad[i], &identity, &err) < 0);
    }
    assert_true(user_find_home(world->root, 1000, home, sizeof home));
    assert_string_equal(home, "/home/bob");
    assert_false(user_find_home(world->root, 4, home, sizeof home));
    (void)unlinkat(world->root, "etc/passwd", 0);
    assert_int_equal(mkfifoat(world->root, "etc/passwd", 0644), 0);
    assert_false(user_find_home(world->root, 1000, home, sizeof home));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_directories_and_files_are_made),
        cmocka_unit_test(test_links_lead_nowhere_but_into_the_root),
        cmocka_unit_test(test_a_circle_of_links_is_an_error),
        cmocka_unit_test(test_dots_cannot_climb_out),
        cmocka_unit_test(test_users_are_found_in_the_root_only),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
