/* build_fetch.c - ADD of URLs, and archives that are compressed in rarer ways. */
#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/build/build.h"

enum { CONNECT_TIMEOUT_S = 30, STALLED_S = 60, REDIRECTS_MAX = 10 };
static const curl_off_t DOWNLOAD_BYTES_MAX = (curl_off_t)16 << 30;
static const int64_t PLAIN_BYTES_MAX = INT64_C(1) << 40;

/* On the disk of the store: memory does not grow with what is fetched. */
static int open_unnamed(const struct build *build, struct err *err)
{
    int fd = openat(build->store->root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : err_set_errno(err, errno, "make a temporary file");
}

static size_t write_part(char *data, size_t size, size_t count, void *context)
{
    const int *fd = context;
    size_t done = 0;
    while (done < size * count) {
        ssize_t written = write(*fd, data + done, size * count - done);
        if (written < 0 && errno != EINTR) {
            return 0; /* curl reports it */
        }
        done += written < 0 ? 0 : (size_t)written;
    }
    return done;
}

int build_fetch(const struct build *build, const char *url, int *ret_fd, int64_t *ret_time,
                struct err *err)
{
    char why[CURL_ERROR_SIZE] = "";
    long code = 0;
    curl_off_t time = -1;
    CLEANUP(close_fd) int fd = open_unnamed(build, err);
    if (fd < 0) {
        return fd;
    }
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        return err_set(err, ERR_IO, "no HTTP client");
    }
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALLED_S);
    (void)curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, DOWNLOAD_BYTES_MAX);
    (void)curl_easy_setopt(curl, CURLOPT_FILETIME, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_part);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &fd);
    CURLcode result = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    (void)curl_easy_getinfo(curl, CURLINFO_FILETIME_T, &time);
    curl_easy_cleanup(curl);
    if (result != CURLE_OK) {
        return err_set(err, ERR_IO, "'%.200s': %s", url,
                       why[0] != '\0' ? why : curl_easy_strerror(result));
    }
    if (code != 200) {
        return err_set(err, ERR_NOT_FOUND, "'%.200s': the server answers %ld", url, code);
    }
    *ret_time = time < 0 ? 0 : (int64_t)time;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int write_block(int fd, const void *data, size_t size, int64_t *total)
{
    *total += (int64_t)size;
    if (*total > PLAIN_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    for (size_t done = 0; done < size;) {
        ssize_t written = write(fd, (const char *)data + done, size - done);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        done += written < 0 ? 0 : (size_t)written;
    }
    return 0;
}

int build_decompress(const struct build *build, int fd, int *ret_fd, struct err *err)
{
    struct archive_entry *entry = NULL;
    const void *data = NULL;
    size_t size = 0;
    la_int64_t offset = 0;
    int64_t total = 0;
    CLEANUP(close_fd) int plain = open_unnamed(build, err);
    if (plain < 0) {
        return plain;
    }
    struct archive *archive = archive_read_new();
    (void)archive_read_support_filter_bzip2(archive);
    (void)archive_read_support_filter_xz(archive);
    (void)archive_read_support_format_raw(archive);
    int status = lseek(fd, 0, SEEK_SET) == 0 &&
                         archive_read_open_fd(archive, fd, 1 << 16) == ARCHIVE_OK &&
                         archive_read_next_header(archive, &entry) == ARCHIVE_OK
                     ? 0
                     : ERR_MALFORMED;
    while (status == 0) {
        int read = archive_read_data_block(archive, &data, &size, &offset);
        if (read == ARCHIVE_EOF) {
            break;
        }
        status = read == ARCHIVE_OK ? write_block(plain, data, size, &total) : ERR_MALFORMED;
    }
    (void)archive_read_free(archive);
    if (status != 0) {
        return err_set(err, status, "the archive cannot be decompressed");
    }
    *ret_fd = TAKE_FD(plain);
    return 0;
}
