#include <string.h>

#include "base/byte_order.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "raft/wal/wal_format.h"

/* Places in a sector. */
enum {
    AT_CRC = 0, /* 4, over the place and the rest of the sector */
    AT_MAGIC = 4,
    AT_SEQUENCE = 8,
    AT_NUMBER = 16, /* of this sector in its batch, from 0 */
    AT_COUNT = 20,  /* of sectors in the batch */
    AT_USED = 24,   /* bytes of data; all but the last sector are full */
    AT_DATA = WAL_SECTOR_HEADER_SIZE,
};

/* Half of its bits are set: no few flipped bits make a blank sector look written or the reverse. */
static const uint32_t sector_magic = 0xc3a55a3c;
static const uint32_t slot_magic = 0x3c5aa5c3;

static uint32_t sector_crc(const uint8_t *sector, uint64_t segment, uint64_t offset)
{
    uint8_t place[16];
    store_le(place, segment, 8);
    store_le(place + 8, offset, 8);
    return crc32c(crc32c(0, place, sizeof place), sector + AT_MAGIC, WAL_SECTOR_SIZE - AT_MAGIC);
}

uint64_t wal_framed_size(uint64_t record_bytes)
{
    return (record_bytes + WAL_SECTOR_DATA_SIZE - 1) / WAL_SECTOR_DATA_SIZE * WAL_SECTOR_SIZE;
}

void wal_frame(struct buf *to, struct bytes records, struct wal_place place, uint64_t sequence)
{
    CHECK(records.size > 0 && sequence > 0);
    uint64_t size = wal_framed_size(records.size);
    uint64_t count = size / WAL_SECTOR_SIZE;
    CHECK(count <= UINT32_MAX);
    uint8_t *sector = buf_reserve(to, size);
    for (uint64_t i = 0; i < count; i++, sector += WAL_SECTOR_SIZE) {
        const uint8_t *from = records.data + i * WAL_SECTOR_DATA_SIZE;
        size_t left = records.size - i * WAL_SECTOR_DATA_SIZE;
        size_t used = left < WAL_SECTOR_DATA_SIZE ? left : WAL_SECTOR_DATA_SIZE;
        store_le(sector + AT_MAGIC, sector_magic, 4);
        store_le(sector + AT_SEQUENCE, sequence, 8);
        store_le(sector + AT_NUMBER, i, 4);
        store_le(sector + AT_COUNT, count, 4);
        store_le(sector + AT_USED, used, 4);
        memcpy(sector + AT_DATA, from, used);
        memset(sector + AT_DATA + used, 0, WAL_SECTOR_DATA_SIZE - used);
        store_le(sector + AT_CRC,
                 sector_crc(sector, place.segment, place.offset + i * WAL_SECTOR_SIZE), 4);
    }
    buf_commit(to, size);
}

struct sector {
    uint64_t sequence;
    uint32_t number;
    uint32_t count;
    struct bytes data;
};

enum sector_state { SECTOR_BLANK, SECTOR_WRITTEN, SECTOR_DAMAGED };

bool wal_is_blank(struct bytes bytes)
{
    /* Bits are counted per sector, so that decay in a large blank file does not add up. */
    for (size_t start = 0; start < bytes.size; start += WAL_SECTOR_SIZE) {
        size_t end = start + WAL_SECTOR_SIZE < bytes.size ? start + WAL_SECTOR_SIZE : bytes.size;
        unsigned bits = 0;
        for (size_t i = start; i < end; i++) {
            for (unsigned rest = bytes.data[i]; rest != 0; rest &= rest - 1) {
                bits++;
            }
        }
        if (bits > WAL_SECTOR_DECAY_BITS_MAX) {
            return false;
        }
    }
    return true;
}

static bool is_all_zero(const uint8_t *sector)
{
    static const uint8_t zeros[WAL_SECTOR_SIZE];
    return memcmp(sector, zeros, WAL_SECTOR_SIZE) == 0;
}

static enum sector_state read_sector(struct bytes file, uint64_t segment, uint64_t offset,
                                     struct sector *ret)
{
    const uint8_t *sector = file.data + offset;
    if (is_all_zero(sector)) {
        return SECTOR_BLANK;
    }
    uint32_t used = (uint32_t)load_le(sector + AT_USED, 4);
    bool is_valid = (uint32_t)load_le(sector + AT_CRC, 4) == sector_crc(sector, segment, offset) &&
                    (uint32_t)load_le(sector + AT_MAGIC, 4) == sector_magic && used > 0 &&
                    used <= WAL_SECTOR_DATA_SIZE;
    if (!is_valid) {
        return wal_is_blank(bytes_make(sector, WAL_SECTOR_SIZE)) ? SECTOR_BLANK : SECTOR_DAMAGED;
    }
    *ret = (struct sector){.sequence = load_le(sector + AT_SEQUENCE, 8),
                           .number = (uint32_t)load_le(sector + AT_NUMBER, 4),
                           .count = (uint32_t)load_le(sector + AT_COUNT, 4),
                           .data = bytes_make(sector + AT_DATA, used)};
    return SECTOR_WRITTEN;
}

bool wal_first_sequence(struct bytes file, uint64_t segment, uint64_t *ret_sequence)
{
    struct sector sector;
    if (file.size < WAL_SECTOR_SIZE || read_sector(file, segment, 0, &sector) != SECTOR_WRITTEN) {
        return false;
    }
    *ret_sequence = sector.sequence;
    return true;
}

static enum wal_scan_result corrupt(struct wal_scan *scan, const char *reason)
{
    scan->reason = reason;
    return WAL_SCAN_CORRUPT;
}

/* The batch is not whole. Everything from here to the end of the file must be what an unfinished
 * write of it leaves: sectors of it in their places, and sectors that were never written. One that
 * is neither was damaged after it had been written, and a later batch would prove that this one was
 * acknowledged. */
static enum wal_scan_result scan_rest(struct bytes file, struct wal_place place, uint64_t sequence,
                                      struct wal_scan *ret_scan)
{
    uint64_t written_end = 0;
    for (uint64_t offset = place.offset; offset + WAL_SECTOR_SIZE <= file.size;
         offset += WAL_SECTOR_SIZE) {
        struct sector sector;
        switch (read_sector(file, place.segment, offset, &sector)) {
        case SECTOR_BLANK:
            continue;
        case SECTOR_DAMAGED:
            return corrupt(ret_scan, "a sector is damaged");
        case SECTOR_WRITTEN:
            break;
        }
        if (sector.sequence > sequence) {
            return corrupt(ret_scan, "a batch is missing or damaged and a later one exists");
        }
        if (sector.sequence < sequence ||
            offset - place.offset != (uint64_t)sector.number * WAL_SECTOR_SIZE) {
            return corrupt(ret_scan, "a sector is not where it belongs");
        }
        written_end = offset - place.offset + WAL_SECTOR_SIZE;
    }
    ret_scan->size = written_end;
    return written_end == 0 ? WAL_SCAN_END : WAL_SCAN_TORN;
}

/* Whether this sector is the number-th of the batch, and full unless it is the last. */
static bool is_part(const struct sector *sector, const struct sector *first, uint32_t number,
                    uint64_t sequence)
{
    return sector->sequence == sequence && sector->number == number &&
           sector->count == first->count &&
           (number + 1 == first->count || sector->data.size == WAL_SECTOR_DATA_SIZE);
}

enum wal_scan_result wal_scan(struct bytes file, struct wal_place place, uint64_t sequence,
                              struct buf *records, struct wal_scan *ret_scan)
{
    *ret_scan = (struct wal_scan){.size = 0};
    buf_clear(records);
    struct sector first;
    if (place.offset + WAL_SECTOR_SIZE > file.size) {
        return WAL_SCAN_END;
    }
    if (read_sector(file, place.segment, place.offset, &first) != SECTOR_WRITTEN) {
        return scan_rest(file, place, sequence, ret_scan);
    }
    if (first.count == 0 || first.count > (file.size - place.offset) / WAL_SECTOR_SIZE) {
        return corrupt(ret_scan, "a batch is larger than its segment");
    }
    for (uint32_t i = 0; i < first.count; i++) {
        struct sector sector;
        uint64_t offset = place.offset + (uint64_t)i * WAL_SECTOR_SIZE;
        if (read_sector(file, place.segment, offset, &sector) != SECTOR_WRITTEN ||
            !is_part(&sector, &first, i, sequence)) {
            return scan_rest(file, place, sequence, ret_scan);
        }
        buf_append_bytes(records, sector.data);
    }
    ret_scan->records = buf_bytes(records);
    ret_scan->size = (uint64_t)first.count * WAL_SECTOR_SIZE;
    return WAL_SCAN_BATCH;
}

void wal_encode_slot(uint8_t slot[WAL_SLOT_SIZE], uint64_t sequence)
{
    memset(slot, 0, WAL_SLOT_SIZE);
    store_le(slot + 4, slot_magic, 4);
    store_le(slot + 8, sequence, 8);
    store_le(slot, crc32c(0, slot + 4, WAL_SLOT_SIZE - 4), 4);
}

bool wal_decode_slot(const uint8_t slot[WAL_SLOT_SIZE], uint64_t *ret_sequence)
{
    if ((uint32_t)load_le(slot, 4) != crc32c(0, slot + 4, WAL_SLOT_SIZE - 4) ||
        (uint32_t)load_le(slot + 4, 4) != slot_magic) {
        return false;
    }
    *ret_sequence = load_le(slot + 8, 8);
    return true;
}
