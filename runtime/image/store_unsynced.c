/* store_unsynced.c - blobs and layers that are not yet safe on disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/in_root.h"
#include "runtime/image/store.h"

enum { BOOT_ID_SIZE = 36, MARK_NAME_MAX = 96, MARKS_MAX = 10000 };

static void read_boot_id(char out[BOOT_ID_SIZE + 1])
{
    CLEANUP(close_fd) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, out, BOOT_ID_SIZE);
    out[size < 0 ? 0 : size] = '\0';
}

int store_mark_unsynced(const struct store *store, const char *kind, const char *hex,
                        struct err *err)
{
    char name[MARK_NAME_MAX];
    char boot[BOOT_ID_SIZE + 1];
    read_boot_id(boot);
    (void)snprintf(name, sizeof(name), "%s.%.64s", kind, hex);
    CLEANUP(close_fd)
    int fd = openat(store->unsynced_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t size = (ssize_t)strlen(boot);
    if (fd < 0 || write(fd, boot, (size_t)size) != size) {
        return err_set_errno(err, errno, "mark '%s' in the image store", name);
    }
    return 0;
}

/* A mark without content was made just before the machine stopped. */
static bool is_of_this_boot(const struct store *store, const char *name)
{
    char boot[BOOT_ID_SIZE + 1];
    CLEANUP(buf) struct buf text = BUF_INIT;
    read_boot_id(boot);
    return in_root_read_file(store->unsynced_fd, name, 100, &text) == 0 &&
           strcmp(buf_text(&text), boot) == 0;
}

bool store_is_lost(const struct store *store, const char *kind, int directory_fd, const char *hex)
{
    char name[MARK_NAME_MAX];
    (void)snprintf(name, sizeof(name), "%s.%.64s", kind, hex);
    if (faccessat(store->unsynced_fd, name, F_OK, 0) != 0 || is_of_this_boot(store, name)) {
        return false;
    }
    int status = in_root_remove(directory_fd, hex);
    if (status == 0) {
        (void)unlinkat(store->unsynced_fd, name, 0); /* the next look finds it again */
    }
    return true;
}

/* Marks that are there before the sync begins may go when it has ended. */
static void settle(const struct store *store)
{
    char(*names)[MARK_NAME_MAX] = mem_calloc(MARKS_MAX, sizeof(*names));
    size_t count = 0;
    int fd = openat(store->unsynced_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry;
         directory != NULL && count < MARKS_MAX && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.' && is_of_this_boot(store, entry->d_name)) {
            (void)snprintf(names[count++], MARK_NAME_MAX, "%.95s", entry->d_name);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    bool is_synced = syncfs(store->root_fd) == 0;
    for (size_t i = 0; is_synced && i < count; i++) {
        (void)unlinkat(store->unsynced_fd, names[i], 0);
    }
    mem_free(names);
}

void store_settle_later(const struct store *store)
{
    char *root = mem_strdup(store->root);
    (void)fflush(NULL); /* the child must not print it again */
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            struct store own;
            int null = open("/dev/null", O_RDWR);
            (void)dup2(null, STDIN_FILENO);
            (void)dup2(null, STDOUT_FILENO);
            (void)dup2(null, STDERR_FILENO);
            (void)setsid();
            /* An inherited descriptor would hold our caller's locks and pipes. */
            (void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
            if (store_open(&own, root, NULL) == 0) {
                settle(&own);
            }
        }
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    mem_free(root);
}
