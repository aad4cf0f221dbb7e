#include "kvstore/migrate/etcd_wal.h"

#include "base/byte_order.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/pb.h"

enum record_type { METADATA = 1, ENTRY = 2, STATE = 3, CRC = 4, SNAPSHOT = 5 };
enum { LENGTH_SIZE = 8, SECTOR = 512 };

#define LENGTH_DAMAGED "a record's length is damaged"

struct record {
    uint64_t type;
    uint32_t crc;
    struct bytes data;
};

void etcd_wal_init(struct etcd_wal *wal)
{
    *wal = (struct etcd_wal){0};
}

void etcd_wal_deinit(struct etcd_wal *wal)
{
    mem_free(wal->entries);
    *wal = (struct etcd_wal){0};
}

/* Numbers of a message, by field: out[n] is field n, below count. bytes_field: the one field of
 * bytes, 0: there is none. Any other field is damage: nothing but its type, which no sum covers,
 * tells what a record is. */
static bool read_numbers(struct bytes message, uint64_t *out, unsigned count, unsigned bytes_field,
                         struct bytes *ret_bytes)
{
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        uint64_t number = field.key >> 3;
        if ((field.key & 7) == PB_TYPE_VARINT && number < count) {
            out[number] = field.value;
        } else if (bytes_field != 0 && field.key == PB_BYTES(bytes_field)) {
            *ret_bytes = field.bytes;
        } else {
            return false;
        }
    }
    return !reader.failed;
}

static bool decode_record(struct bytes bytes, struct record *ret)
{
    uint64_t numbers[3] = {0};
    struct record record = {0};
    if (!read_numbers(bytes, numbers, 3, 3, &record.data)) {
        return false;
    }
    record.type = numbers[1];
    record.crc = (uint32_t)numbers[2];
    *ret = record;
    return true;
}

/* Later entries replace earlier ones with the same index, as a new leader makes them. */
static int add_entry(struct etcd_wal *wal, struct bytes data, struct err *err)
{
    uint64_t numbers[4] = {0};
    struct etcd_entry entry = {0};
    if (!read_numbers(data, numbers, 4, 4, &entry.data) || numbers[3] == 0 ||
        numbers[1] > ETCD_ENTRY_CONFIG_JOINT) {
        return err_set(err, ERR_CORRUPT, "an entry cannot be decoded");
    }
    entry.type = numbers[1];
    entry.term = numbers[2];
    entry.index = numbers[3];
    uint64_t first = wal->count == 0 ? entry.index : wal->entries[0].index;
    if (entry.index < first) {
        wal->count = 0;
    } else if (entry.index - first < wal->count) {
        wal->count = (size_t)(entry.index - first);
    } else if (entry.index - first > wal->count) {
        if (wal->snapshot_index + 1 < entry.index) {
            return err_set(err, ERR_CORRUPT, "entry %llu follows entry %llu",
                           (unsigned long long)entry.index,
                           (unsigned long long)(first + wal->count - 1));
        }
        wal->count = 0; /* a snapshot from the leader stands in for what is missing */
    }
    if (wal->count == wal->capacity) {
        wal->capacity = wal->capacity == 0 ? 1024 : wal->capacity * 2;
        wal->entries = mem_reallocarray(wal->entries, wal->capacity, sizeof *wal->entries);
    }
    wal->entries[wal->count++] = entry;
    return 0;
}

static int add_record(struct etcd_wal *wal, const struct record *record, struct err *err)
{
    uint64_t numbers[4] = {0};
    struct bytes members;
    switch (record->type) {
    case ENTRY:
        return add_entry(wal, record->data, err);
    case STATE: /* term 1, vote 2, commit 3 */
        if (!read_numbers(record->data, numbers, 4, 0, NULL) || numbers[1] < wal->term ||
            numbers[3] < wal->commit) {
            return err_set(err, ERR_CORRUPT, "a hard state cannot be decoded, or goes back");
        }
        wal->term = numbers[1];
        wal->commit = numbers[3];
        return 0;
    case SNAPSHOT: /* index 1, term 2, members 3 */
        if (!read_numbers(record->data, numbers, 3, 3, &members)) {
            return err_set(err, ERR_CORRUPT, "a snapshot record cannot be decoded");
        }
        if (numbers[1] >= wal->snapshot_index) {
            wal->snapshot_index = numbers[1];
            wal->snapshot_term = numbers[2];
        }
        return 0;
    case METADATA:
        return 0;
    default:
        return err_set(err, ERR_CORRUPT, "a record has the unknown type %llu",
                       (unsigned long long)record->type);
    }
}

/* Does the record's head (type, crc, size of the data) agree with the frame's length? */
static bool is_head_right(struct bytes record)
{
    struct pb_reader reader = pb_reader_make(record);
    uint64_t key = 0;
    uint64_t value = 0;
    while (pb_read_varint(&reader, &key) && (key == PB_VARINT(1) || key == PB_VARINT(2))) {
        if (!pb_read_varint(&reader, &value)) {
            return false;
        }
    }
    return key == PB_BYTES(3) && pb_read_varint(&reader, &value) &&
           value == (uint64_t)(reader.end - reader.at);
}

/* Does a whole sector's part of these bytes hold zeros only? Then the write was not finished,
 * unless the frame is wrong about where it ends: a flipped bit in a length must not pass for it. */
static bool is_torn(const uint8_t *file, size_t start, size_t size)
{
    size_t end = start + size;
    bool is_head_lost = file[start] == 0 && start % SECTOR == 0;
    if (!is_head_lost && !is_head_right(bytes_make(file + start, size))) {
        return false;
    }
    for (size_t at = start; at < end;) {
        size_t sector_end = (at / SECTOR + 1) * SECTOR;
        size_t stop = sector_end < end ? sector_end : end;
        bool is_zero = true;
        for (size_t i = at; i < stop && is_zero; i++) {
            is_zero = file[i] == 0;
        }
        if (is_zero) {
            return true;
        }
        at = stop;
    }
    return false;
}

/* The sum in the record fits what was read so far. */
static bool check_sum(struct etcd_wal *wal, const struct record *record)
{
    if (record->type == CRC) {
        /* The first file of those that are left begins with a sum whose past is gone. */
        bool is_right = wal->record_count == 0 || wal->crc == record->crc;
        wal->crc = record->crc;
        return is_right;
    }
    uint32_t crc = crc32c(wal->crc, record->data.data, record->data.size);
    if (crc != record->crc) {
        return false;
    }
    wal->crc = crc;
    return true;
}

/* Sectors are written whole: where no record begins, nothing can follow in the same one. */
static bool is_zero_to_sector_end(struct bytes file, size_t at)
{
    size_t end = (at / SECTOR + 1) * SECTOR;
    for (; at < end && at < file.size; at++) {
        if (file.data[at] != 0) {
            return false;
        }
    }
    return true;
}

static int damaged(const char *name, size_t at, struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "%s, offset %zu: %s", name, at, what);
}

/* One frame; *at moves behind it. *ret_end: there are no more in this file. */
static int next_frame(struct etcd_wal *wal, struct bytes file, size_t *at, bool is_last,
                      const char *name, bool *ret_end, struct err *err)
{
    uint64_t length = load_le(file.data + *at, LENGTH_SIZE);
    uint64_t size = length & ((UINT64_C(1) << 56) - 1);
    uint64_t padding = length >> 63 != 0 ? length >> 56 & 7 : 0;
    size_t start = *at + LENGTH_SIZE;
    if (length == 0) {
        *ret_end = true;
        return is_zero_to_sector_end(file, *at) ? 0 : damaged(name, *at, err, LENGTH_DAMAGED);
    }
    if (size > ETCD_WAL_RECORD_MAX || padding != (8 - size % 8) % 8 ||
        size + padding > file.size - start) {
        return damaged(name, *at, err, LENGTH_DAMAGED);
    }
    struct record record;
    bool is_sound = decode_record(bytes_make(file.data + start, (size_t)size), &record);
    uint32_t crc_before = wal->crc;
    if (!is_sound || !check_sum(wal, &record)) {
        wal->crc = crc_before;
        if (is_last && is_torn(file.data, start, (size_t)size)) {
            wal->has_torn_tail = true;
            *ret_end = true;
            return 0;
        }
        return damaged(name, *at, err, "a record's checksum is wrong");
    }
    wal->record_count += 1;
    *at = start + (size_t)(size + padding);
    int code = record.type == CRC ? 0 : add_record(wal, &record, err);
    return code != 0 ? err_prefix(err, "%s, offset %zu", name, start - LENGTH_SIZE) : 0;
}

int etcd_wal_add_file(struct etcd_wal *wal, struct bytes file, bool is_last, const char *name,
                      struct err *err)
{
    size_t at = 0;
    bool is_end = false;
    int code = 0;
    while (code == 0 && !is_end && file.size - at >= LENGTH_SIZE) {
        code = next_frame(wal, file, &at, is_last, name, &is_end, err);
    }
    if (code == 0 && at == 0) {
        return damaged(name, 0, err, "there is no record in the file");
    }
    return code;
}
