#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mount.h>

#include "runtime/container/mount_options.h"

static void parse(struct arena *arena, char **words, struct mount_options *options)
{
    struct text_list list = {words, 0};
    while (words[list.count] != NULL) {
        list.count++;
    }
    mount_options_parse(arena, &list, options);
}

#define PARSE(...)                                                                                 \
    struct arena arena = ARENA_INIT;                                                               \
    struct mount_options options;                                                                  \
    char *words[] = {__VA_ARGS__, NULL};                                                           \
    parse(&arena, words, &options)

static char w_ro[] = "ro", w_rw[] = "rw", w_nosuid[] = "nosuid", w_suid[] = "suid",
            w_noatime[] = "noatime", w_relatime[] = "relatime", w_strictatime[] = "strictatime",
            w_rro[] = "rro", w_rrw[] = "rrw", w_rbind[] = "rbind", w_rslave[] = "rslave",
            w_size[] = "size=64k", w_sync[] = "sync", w_idmap[] = "idmap=uids=0-1-2",
            w_copyup[] = "tmpcopyup", w_unknown[] = "whatever", w_atime[] = "atime";

static void test_the_last_word_of_two_opposites_counts(void **state)
{
    (void)state;
    PARSE(w_ro, w_nosuid, w_rw, w_suid);
    assert_int_equal(options.set, 0);
    assert_int_equal(options.clear, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
    arena_deinit(&arena);
}

static void test_access_time_modes_exclude_each_other(void **state)
{
    (void)state;
    PARSE(w_noatime, w_strictatime);
    assert_int_equal(options.set, MOUNT_ATTR_STRICTATIME);
    assert_int_equal(options.clear, MOUNT_ATTR__ATIME);
    char *again[] = {w_noatime, w_relatime, NULL};
    parse(&arena, again, &options);
    assert_int_equal(options.set & MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME);
    char *back[] = {w_noatime, w_atime, NULL};
    parse(&arena, back, &options);
    assert_int_equal(options.set, 0);
    arena_deinit(&arena);
}

static void test_recursive_words_are_apart(void **state)
{
    (void)state;
    PARSE(w_rro, w_nosuid);
    assert_int_equal(options.rset, MOUNT_ATTR_RDONLY);
    assert_int_equal(options.set, MOUNT_ATTR_NOSUID);
    char *back[] = {w_rro, w_rrw, NULL};
    parse(&arena, back, &options);
    assert_int_equal(options.rset, 0);
    assert_int_equal(options.rclear, MOUNT_ATTR_RDONLY);
    arena_deinit(&arena);
}

static void test_flags_propagation_and_data(void **state)
{
    (void)state;
    PARSE(w_rbind, w_rslave, w_size, w_sync, w_idmap, w_copyup, w_unknown);
    assert_int_equal(options.flags,
                     MOUNT_OPTION_RBIND | MOUNT_OPTION_IDMAP | MOUNT_OPTION_TMPCOPYUP);
    assert_int_equal(options.propagation, MS_SLAVE);
    assert_true(options.is_propagation_recursive);
    assert_int_equal(options.super.count, 1);
    assert_string_equal(options.super.items[0], "sync");
    assert_int_equal(options.data.count, 3);
    assert_string_equal(options.data.items[0], "size=64k");
    assert_string_equal(options.data.items[2], "whatever");
    arena_deinit(&arena);
}

static void test_names_are_sorted_and_cover_the_specification(void **state)
{
    (void)state;
    static const char *const must[] = {
        "async",      "atime",      "bind",       "defaults",      "dev",
        "diratime",   "dirsync",    "exec",       "iversion",      "lazytime",
        "loud",       "noatime",    "nodev",      "nodiratime",    "noexec",
        "noiversion", "nolazytime", "norelatime", "nostrictatime", "nosuid",
        "private",    "rbind",      "relatime",   "remount",       "ro",
        "rprivate",   "rshared",    "rslave",     "runbindable",   "rw",
        "shared",     "silent",     "slave",      "strictatime",   "suid",
        "sync",       "unbindable", "idmap",      "ridmap",        "rro",
        "tmpcopyup"};
    for (size_t i = 1; mount_options_name(i) != NULL; i++) {
        assert_true(strcmp(mount_options_name(i - 1), mount_options_name(i)) < 0);
    }
    for (size_t i = 0; i < sizeof must / sizeof must[0]; i++) {
        size_t at = 0;
        while (mount_options_name(at) != NULL && strcmp(mount_options_name(at), must[i]) != 0) {
            at++;
        }
        assert_non_null(mount_options_name(at));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_word_of_two_opposites_counts),
        cmocka_unit_test(test_access_time_modes_exclude_each_other),
        cmocka_unit_test(test_recursive_words_are_apart),
        cmocka_unit_test(test_flags_propagation_and_data),
        cmocka_unit_test(test_names_are_sorted_and_cover_the_specification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
