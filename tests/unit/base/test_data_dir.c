#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/data_dir.h"
#include "base/mailbox.h"

static char *temporary_path(void)
{
    char *path = mem_strdup("/tmp/coracle-test-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static void test_a_second_open_of_a_data_directory_is_refused(void **state)
{
    (void)state;
    CLEANUP(free) char *root = temporary_path();
    CLEANUP(free) char *path = mem_printf("%s/a/b", root);
    struct err err;
    int fd = -1;
    assert_int_equal(data_dir_open(path, &fd, &err), 0);
    int second = -1;
    assert_int_equal(data_dir_open(path, &second, &err), ERR_LOCKED);
    assert_int_equal(second, -1);
    data_dir_close(fd);
    assert_int_equal(data_dir_open(path, &second, &err), 0);
    data_dir_close(second);
    assert_int_equal(rmdir(path), 0);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(root), 0);
}

static void test_a_data_directory_that_others_could_read_is_made_private(void **state)
{
    (void)state;
    CLEANUP(free) char *root = temporary_path();
    assert_int_equal(chmod(root, 0755), 0);
    struct err err;
    int fd = -1;
    assert_int_equal(data_dir_open(root, &fd, &err), 0);
    struct stat status;
    assert_int_equal(stat(root, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(data_dir_make(root, "member", &err), 0);
    assert_int_equal(data_dir_make(root, "member", &err), 0);
    CLEANUP(free) char *member = mem_printf("%s/member", root);
    assert_int_equal(stat(member, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    data_dir_close(fd);
    assert_int_equal(rmdir(member), 0);
    assert_int_equal(rmdir(root), 0);
}

static void test_a_data_directory_below_a_file_is_an_error(void **state)
{
    (void)state;
    struct err err;
    int fd = -1;
    assert_int_equal(data_dir_open("/dev/null/x", &fd, &err), -ENOTDIR);
    assert_int_equal(fd, -1);
}

static void test_a_network_file_system_check_accepts_the_local_one(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(data_dir_check_file_system("/proc", &err), 0);
    assert_int_equal(data_dir_check_file_system("/does/not/exist", &err), -ENOENT);
}

struct parcel {
    struct list link;
    int number;
};

static void *put_three(void *context)
{
    struct mailbox *mailbox = context;
    for (int i = 1; i <= 3; i++) {
        struct parcel *parcel = mem_alloc(sizeof *parcel);
        parcel->number = i;
        mailbox_put(mailbox, &parcel->link);
    }
    mailbox_close(mailbox);
    return NULL;
}

static void test_a_mailbox_hands_items_over_in_order_until_closed(void **state)
{
    (void)state;
    struct mailbox mailbox;
    mailbox_init(&mailbox);
    assert_false(mailbox_wait(&mailbox, clock_monotonic_ns()));
    assert_null(mailbox_take(&mailbox));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, put_three, &mailbox), 0);
    int next = 1;
    while (mailbox_wait(&mailbox, UINT64_MAX)) {
        struct list *item = mailbox_take(&mailbox);
        struct parcel *parcel = container_of(item, struct parcel, link);
        assert_int_equal(parcel->number, next++);
        mem_free(parcel);
    }
    assert_int_equal(next, 4);
    assert_true(mailbox_is_closed(&mailbox));
    assert_int_equal(pthread_join(thread, NULL), 0);
    mailbox_deinit(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_open_of_a_data_directory_is_refused),
        cmocka_unit_test(test_a_data_directory_that_others_could_read_is_made_private),
        cmocka_unit_test(test_a_data_directory_below_a_file_is_an_error),
        cmocka_unit_test(test_a_network_file_system_check_accepts_the_local_one),
        cmocka_unit_test(test_a_mailbox_hands_items_over_in_order_until_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
