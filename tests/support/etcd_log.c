#include "tests/support/etcd_log.h"

#include "base/crc32c.h"
#include "base/pb.h"

void etcd_log_add(struct etcd_log *log, uint64_t type, struct bytes data)
{
    struct buf record = BUF_INIT;
    if (type == 4) {
        data = (struct bytes){NULL, 0};
    }
    log->crc = crc32c(log->crc, data.data, data.size);
    pb_put_u64(&record, 1, type);
    pb_put_u64(&record, 2, log->crc);
    pb_put_bytes(&record, 3, data);
    size_t size = buf_size(&record);
    size_t padding = (8 - size % 8) % 8;
    uint64_t length = size | (padding == 0 ? 0 : (uint64_t)(0x80 | padding) << 56);
    for (unsigned i = 0; i < 8; i++) {
        buf_append_u8(&log->file, (uint8_t)(length >> (8 * i)));
    }
    buf_append_bytes(&log->file, buf_bytes(&record));
    for (size_t i = 0; i < padding; i++) {
        buf_append_u8(&log->file, 0);
    }
    buf_deinit(&record);
}

void etcd_log_add_entry(struct etcd_log *log, uint64_t index, uint64_t term, const char *data)
{
    struct buf entry = BUF_INIT;
    pb_put_u64(&entry, 2, term);
    pb_put_u64(&entry, 3, index);
    pb_put_text(&entry, 4, data);
    etcd_log_add(log, 2, buf_bytes(&entry));
    buf_deinit(&entry);
}

void etcd_log_add_state(struct etcd_log *log, uint64_t term, uint64_t commit)
{
    struct buf state = BUF_INIT;
    pb_put_u64(&state, 1, term);
    pb_put_u64(&state, 3, commit);
    etcd_log_add(log, 3, buf_bytes(&state));
    buf_deinit(&state);
}
