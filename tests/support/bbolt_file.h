/* bbolt_file.h - a small database in bbolt's format, made page by page for tests. */
#ifndef TESTS_SUPPORT_BBOLT_FILE_H
#define TESTS_SUPPORT_BBOLT_FILE_H

#include "base/buf.h"

enum { BBOLT_FILE_PAGE = 512, BBOLT_FILE_PAGES = 9 };

/* Root (page 4): bucket "big" (a branch, page 5, over the leaves 6 and 7, the second with an
 * overflow page) and bucket "small", inline. Page 2 is free, page 3 the list of free pages. Meta
 * page 0 has transaction 2 and an empty root, meta page 1 transaction 3. */
void bbolt_file_make(struct buf *out);
/* The checksum of a meta page again, after a change. */
void bbolt_file_seal(uint8_t *file, unsigned meta);

#endif
