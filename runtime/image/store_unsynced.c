/* store_unsynced.c - blobs and layers that are not yet safe on disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

/* By rename: others never see a mark that is not yet written, and each is a file of its own. */
int store_mark_unsynced(const struct store *store, const char *kind, const char *hex,
                        struct err *err)
{
    char name[MARK_NAME_MAX];
    char boot[BOOT_ID_SIZE + 1];
    read_boot_id(boot);
    (void)snprintf(name, sizeof(name), "%s.%.64s", kind, hex);
    return store_replace_file(store->unsynced_fd, name, bytes_from_text(boot), err);
}

enum mark {
    MARK_ABSENT, /* also one that a settling process takes away while we look */
    MARK_OF_THIS_BOOT,
    MARK_OF_ANOTHER_BOOT, /* a mark without content was made just before the machine stopped */
};

/* ret_about may be NULL. */
static enum mark read_mark(const struct store *store, const char *name, struct stat *ret_about)
{
    char boot[BOOT_ID_SIZE + 1];
    char text[BOOT_ID_SIZE + 1] = "";
    CLEANUP(close_fd)
    int fd = openat(store->unsynced_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return MARK_ABSENT;
    }
    read_boot_id(boot);
    ssize_t size = fd < 0 ? -1 : read(fd, text, BOOT_ID_SIZE);
    if (size < 0 || (ret_about != NULL && fstat(fd, ret_about) != 0)) {
        return MARK_OF_ANOTHER_BOOT; /* what cannot be read proves nothing */
    }
    return strcmp(text, boot) == 0 ? MARK_OF_THIS_BOOT : MARK_OF_ANOTHER_BOOT;
}

bool store_is_lost(const struct store *store, const char *kind, int directory_fd, const char *hex)
{
    char name[MARK_NAME_MAX];
    (void)snprintf(name, sizeof(name), "%s.%.64s", kind, hex);
    if (read_mark(store, name, NULL) != MARK_OF_ANOTHER_BOOT) {
        return false;
    }
    int status = in_root_remove(directory_fd, hex);
    if (status == 0) {
        (void)unlinkat(store->unsynced_fd, name, 0); /* the next look finds it again */
    }
    return true;
}

struct seen_mark {
    char name[MARK_NAME_MAX];
    ino_t inode;
};

/* Only the very mark that was seen before the sync: another may have been made meanwhile. */
static void remove_mark(const struct store *store, const struct seen_mark *seen)
{
    struct stat now;
    if (read_mark(store, seen->name, &now) == MARK_OF_THIS_BOOT && now.st_ino == seen->inode) {
        (void)unlinkat(store->unsynced_fd, seen->name, 0); /* the next settling finds it again */
    }
}

/* Marks that are there before the sync begins may go when it has ended. */
static void settle(const struct store *store)
{
    struct seen_mark *marks = mem_calloc(MARKS_MAX, sizeof(*marks));
    size_t count = 0;
    int fd = openat(store->unsynced_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry;
         directory != NULL && count < MARKS_MAX && (entry = readdir(directory)) != NULL;) {
        struct stat about;
        if (entry->d_name[0] != '.' &&
            read_mark(store, entry->d_name, &about) == MARK_OF_THIS_BOOT) {
            marks[count].inode = about.st_ino;
            (void)snprintf(marks[count++].name, MARK_NAME_MAX, "%.95s", entry->d_name);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    bool is_synced = syncfs(store->root_fd) == 0;
    for (size_t i = 0; is_synced && i < count; i++) {
        remove_mark(store, &marks[i]);
    }
    mem_free(marks);
}

void store_settle_later(const struct store *store)
{
    char *root = mem_strdup(store->root);
    (void)fflush(NULL); /* the child must not print it again */
    pid_t child = fork();
    if (child == 0) {
        /* Before our caller goes on: an inherited descriptor would hold its locks and pipes. */
        (void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
        int null = open("/dev/null", O_RDWR);
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        if (fork() == 0) {
            struct store own;
            (void)setsid();
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
