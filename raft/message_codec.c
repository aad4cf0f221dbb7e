#include "raft/message_codec.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/members.h"

enum { CODEC_VERSION = 1, FIXED_HEAD_SIZE = 32 };
enum { FLAG_TRANSFER = 1, FLAG_GRANTED = 2, FLAG_REJECTED = 4 };

static uint8_t *put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
    return out + 4;
}

static uint8_t *put_u64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
    return out + 8;
}

static uint8_t *put_position(uint8_t *out, struct raft_position position)
{
    return put_u64(put_u64(out, position.index), position.term);
}

static uint8_t *put_members(uint8_t *out, const struct raft_members *members)
{
    *out++ = (uint8_t)members->count;
    for (uint32_t i = 0; i < members->count; i++) {
        out = put_u64(out, members->member[i].id);
        *out++ = members->member[i].voter ? 1 : 0;
    }
    return out;
}

static uint8_t flags_of(const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        return message->vote.is_transfer ? FLAG_TRANSFER : 0;
    case RAFT_MESSAGE_PRE_VOTE_RESPONSE:
    case RAFT_MESSAGE_VOTE_RESPONSE:
        return message->vote_response.granted ? FLAG_GRANTED : 0;
    case RAFT_MESSAGE_APPEND_RESPONSE:
        return message->append_response.rejected ? FLAG_REJECTED : 0;
    default:
        return 0;
    }
}

static uint8_t *put_payload(uint8_t *out, const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        return put_position(out, message->vote.last);
    case RAFT_MESSAGE_APPEND:
        out = put_position(out, message->append.previous);
        out = put_u64(out, message->append.commit);
        return put_u32(out, message->append.count);
    case RAFT_MESSAGE_APPEND_RESPONSE:
        out = put_u64(out, message->append_response.index);
        return message->append_response.rejected ? put_position(out, message->append_response.hint)
                                                 : out;
    case RAFT_MESSAGE_HEARTBEAT:
        return put_u64(put_u64(out, message->heartbeat.commit), message->heartbeat.round);
    case RAFT_MESSAGE_HEARTBEAT_RESPONSE:
        return put_u64(out, message->heartbeat_response.round);
    case RAFT_MESSAGE_INSTALL_SNAPSHOT:
        out = put_position(out, message->install_snapshot.meta.last);
        return put_members(out, &message->install_snapshot.meta.members);
    case RAFT_MESSAGE_READ_INDEX:
        return put_u64(out, message->read_index.id);
    case RAFT_MESSAGE_READ_INDEX_RESPONSE:
        return put_u64(put_u64(out, message->read_index.id), message->read_index.index);
    case RAFT_MESSAGE_PRE_VOTE_RESPONSE:
    case RAFT_MESSAGE_VOTE_RESPONSE:
    case RAFT_MESSAGE_TIMEOUT_NOW:
        return out;
    }
    CHECK_UNREACHABLE();
}

uint32_t raft_message_body_size(const struct raft_message *message)
{
    if (message->type != RAFT_MESSAGE_APPEND) {
        return 0;
    }
    uint64_t size = 0;
    for (uint32_t i = 0; i < message->append.count; i++) {
        const struct blob *data = message->append.entries[i].data;
        size += RAFT_MESSAGE_ENTRY_HEAD + (uint64_t)(data == NULL ? 0 : data->size);
    }
    CHECK(size <= RAFT_MESSAGE_SIZE_MAX - RAFT_MESSAGE_HEAD_MAX);
    return (uint32_t)size;
}

void raft_message_encode_head(const struct raft_message *message, uint32_t body_size,
                              struct buf *out)
{
    uint8_t *start = buf_reserve(out, RAFT_MESSAGE_HEAD_MAX);
    uint8_t *at = start;
    *at++ = CODEC_VERSION;
    *at++ = (uint8_t)message->type;
    *at++ = flags_of(message);
    *at++ = 0;
    at = put_u32(at, body_size);
    at = put_u64(at, message->from);
    at = put_u64(at, message->to);
    at = put_u64(at, message->term);
    CHECK(at - start == FIXED_HEAD_SIZE);
    at = put_payload(at, message);
    CHECK(at - start <= RAFT_MESSAGE_HEAD_MAX);
    buf_commit(out, (size_t)(at - start));
}

void raft_message_encode_body(const struct raft_message *message, struct buf *out)
{
    if (message->type != RAFT_MESSAGE_APPEND) {
        return;
    }
    for (uint32_t i = 0; i < message->append.count; i++) {
        const struct raft_entry *entry = &message->append.entries[i];
        struct bytes data = blob_bytes(entry->data);
        uint8_t *start = buf_reserve(out, RAFT_MESSAGE_ENTRY_HEAD + data.size);
        uint8_t *at = put_u64(start, entry->at.term);
        at = put_u32(at, (uint32_t)data.size);
        *at++ = (uint8_t)entry->type;
        if (data.size > 0) {
            memcpy(at, data.data, data.size);
        }
        buf_commit(out, RAFT_MESSAGE_ENTRY_HEAD + data.size);
    }
}

void raft_message_encode(const struct raft_message *message, struct buf *out)
{
    raft_message_encode_head(message, raft_message_body_size(message), out);
    raft_message_encode_body(message, out);
}

/* Reading past the end gives zeros and is remembered; the caller looks once, at the end. */
struct reader {
    struct bytes left;
    bool has_failed;
};

static const uint8_t *get(struct reader *reader, size_t size)
{
    if (reader->left.size < size) {
        reader->has_failed = true;
        reader->left.size = 0;
        return NULL;
    }
    const uint8_t *data = reader->left.data;
    reader->left = bytes_make(data + size, reader->left.size - size);
    return data;
}

static uint64_t get_number(struct reader *reader, size_t size)
{
    const uint8_t *data = get(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; data != NULL && i < size; i++) {
        value |= (uint64_t)data[i] << (8 * i);
    }
    return value;
}

static struct raft_position get_position(struct reader *reader)
{
    raft_index index = get_number(reader, 8);
    return (struct raft_position){index, get_number(reader, 8)};
}

static void get_members(struct reader *reader, struct raft_members *members)
{
    members->count = (uint32_t)get_number(reader, 1);
    if (members->count > RAFT_MEMBERS_MAX) {
        members->count = 0;
        reader->has_failed = true;
        return;
    }
    for (uint32_t i = 0; i < members->count; i++) {
        members->member[i].id = get_number(reader, 8);
        uint64_t voter = get_number(reader, 1);
        members->member[i].voter = voter == 1;
        reader->has_failed = reader->has_failed || voter > 1;
    }
}

void raft_decoder_init(struct raft_decoder *decoder)
{
    *decoder = (struct raft_decoder){0};
}

void raft_decoder_deinit(struct raft_decoder *decoder)
{
    raft_decoder_clear(decoder);
    mem_free(decoder->entries);
    *decoder = (struct raft_decoder){0};
}

void raft_decoder_clear(struct raft_decoder *decoder)
{
    for (uint32_t i = 0; i < decoder->count; i++) {
        blob_unref(decoder->entries[i].data);
    }
    decoder->count = 0;
}

/* The rest of the input must be exactly `count` entries. Memory is only taken for what is there. */
static void get_entries(struct reader *reader, struct raft_decoder *decoder,
                        struct raft_message *message, uint32_t count)
{
    if (count > RAFT_APPEND_ENTRIES_MAX ||
        (uint64_t)count * RAFT_MESSAGE_ENTRY_HEAD > reader->left.size) {
        reader->has_failed = true;
        return;
    }
    if (count > decoder->capacity) {
        decoder->entries = mem_reallocarray(decoder->entries, count, sizeof *decoder->entries);
        decoder->capacity = count;
    }
    for (uint32_t i = 0; i < count && !reader->has_failed; i++) {
        struct raft_entry entry = {.at = {.index = message->append.previous.index + 1 + i}};
        entry.at.term = get_number(reader, 8);
        size_t size = (size_t)get_number(reader, 4);
        entry.type = (enum raft_entry_type)get_number(reader, 1);
        const uint8_t *data = get(reader, size);
        if (data != NULL && size > 0) {
            entry.data = blob_new_copy(data, size);
        }
        decoder->entries[decoder->count++] = entry;
    }
    message->append.entries = count == 0 ? NULL : decoder->entries;
    message->append.count = decoder->count;
}

static void get_payload(struct reader *reader, struct raft_decoder *decoder,
                        struct raft_message *message)
{
    switch (message->type) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        message->vote.last = get_position(reader);
        return;
    case RAFT_MESSAGE_APPEND:
        message->append.previous = get_position(reader);
        message->append.commit = get_number(reader, 8);
        get_entries(reader, decoder, message, (uint32_t)get_number(reader, 4));
        return;
    case RAFT_MESSAGE_APPEND_RESPONSE:
        message->append_response.index = get_number(reader, 8);
        if (message->append_response.rejected) {
            message->append_response.hint = get_position(reader);
        }
        return;
    case RAFT_MESSAGE_HEARTBEAT:
        message->heartbeat.commit = get_number(reader, 8);
        message->heartbeat.round = get_number(reader, 8);
        return;
    case RAFT_MESSAGE_HEARTBEAT_RESPONSE:
        message->heartbeat_response.round = get_number(reader, 8);
        return;
    case RAFT_MESSAGE_INSTALL_SNAPSHOT:
        message->install_snapshot.meta.last = get_position(reader);
        get_members(reader, &message->install_snapshot.meta.members);
        return;
    case RAFT_MESSAGE_READ_INDEX:
        message->read_index.id = get_number(reader, 8);
        return;
    case RAFT_MESSAGE_READ_INDEX_RESPONSE:
        message->read_index.id = get_number(reader, 8);
        message->read_index.index = get_number(reader, 8);
        return;
    case RAFT_MESSAGE_PRE_VOTE_RESPONSE:
    case RAFT_MESSAGE_VOTE_RESPONSE:
    case RAFT_MESSAGE_TIMEOUT_NOW:
        return;
    }
}

static void set_flags(struct raft_message *message, uint8_t flags)
{
    switch (message->type) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        message->vote.is_transfer = (flags & FLAG_TRANSFER) != 0;
        return;
    case RAFT_MESSAGE_PRE_VOTE_RESPONSE:
    case RAFT_MESSAGE_VOTE_RESPONSE:
        message->vote_response.granted = (flags & FLAG_GRANTED) != 0;
        return;
    case RAFT_MESSAGE_APPEND_RESPONSE:
        message->append_response.rejected = (flags & FLAG_REJECTED) != 0;
        return;
    default:
        return;
    }
}

static int decode_fixed(struct reader *reader, struct raft_message *message, uint32_t *body_size,
                        struct err *err)
{
    uint64_t version = get_number(reader, 1);
    uint64_t type = get_number(reader, 1);
    uint8_t flags = (uint8_t)get_number(reader, 1);
    uint64_t zero = get_number(reader, 1);
    *body_size = (uint32_t)get_number(reader, 4);
    if (reader->has_failed) {
        return err_set(err, ERR_MALFORMED, "peer message is too short");
    }
    if (version != CODEC_VERSION || type < RAFT_MESSAGE_PRE_VOTE ||
        type > RAFT_MESSAGE_TIMEOUT_NOW) {
        return err_set(err, ERR_UNSUPPORTED, "peer message of version %u and type %u",
                       (unsigned)version, (unsigned)type);
    }
    message->type = (enum raft_message_type)type;
    message->from = get_number(reader, 8);
    message->to = get_number(reader, 8);
    message->term = get_number(reader, 8);
    set_flags(message, flags);
    if (flags_of(message) != flags || zero != 0) {
        return err_set(err, ERR_MALFORMED, "peer message with unknown flags");
    }
    return 0;
}

int raft_message_decode(struct bytes input, struct raft_decoder *decoder,
                        struct raft_message *message, struct err *err)
{
    raft_decoder_clear(decoder);
    if (input.size > RAFT_MESSAGE_SIZE_MAX) {
        return err_set(err, ERR_TOO_LARGE, "peer message of %zu bytes", input.size);
    }
    struct reader reader = {.left = input};
    struct raft_message decoded;
    memset(&decoded, 0, sizeof decoded);
    uint32_t body_size = 0;
    int rc = decode_fixed(&reader, &decoded, &body_size, err);
    if (rc != 0) {
        return rc;
    }
    get_payload(&reader, decoder, &decoded);
    if (reader.has_failed || reader.left.size > 0 ||
        body_size != raft_message_body_size(&decoded)) {
        raft_decoder_clear(decoder);
        return err_set(err, ERR_MALFORMED, "%s message of a wrong length",
                       raft_message_type_name(decoded.type));
    }
    rc = raft_message_check(&decoded, err);
    if (rc != 0) {
        raft_decoder_clear(decoder);
        return rc;
    }
    *message = decoded;
    return 0;
}
