/* tar_write.h - writing tar archives: ustar, with a pax header where ustar is too small. */
#ifndef RUNTIME_IMAGE_TAR_WRITE_H
#define RUNTIME_IMAGE_TAR_WRITE_H

#include "base/buf.h"
#include "base/err.h"
#include "runtime/image/tar.h"

/* Append the header block(s) of an entry; entry->size bytes of data and padding must follow. */
void tar_write_header(const struct tar_entry *entry, struct buf *out);
/* Zeros up to the next block after size bytes of data. */
void tar_write_padding(int64_t size, struct buf *out);
/* The two zero blocks of the end. */
void tar_write_end(struct buf *out);

#endif
