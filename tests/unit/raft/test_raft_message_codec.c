#include "tests/support/test.h"

#include "raft/members.h"
#include "raft/message_codec.h"

static struct raft_entry entries[4];

static void make_entries(void)
{
    struct raft_members members = {.count = 1, .member = {{1, true}}};
    entries[0] = (struct raft_entry){{8, 2}, RAFT_ENTRY_NOOP, NULL};
    entries[1] = (struct raft_entry){{9, 2}, RAFT_ENTRY_COMMAND, blob_new_copy("hello", 5)};
    entries[2] = (struct raft_entry){
        {10, 3}, RAFT_ENTRY_CONFIG, raft_members_encode(&members, BYTES_LITERAL("rest"))};
    entries[3] = (struct raft_entry){{11, 3}, RAFT_ENTRY_COMMAND, NULL};
}

static void free_entries(void)
{
    for (int i = 0; i < 4; i++) {
        blob_unref(entries[i].data);
    }
}

/* One of each type, with every field set. */
static uint32_t all_messages(struct raft_message *out)
{
    const struct raft_message messages[] = {
        {.type = RAFT_MESSAGE_PRE_VOTE, .vote = {.last = {4, 2}}},
        {.type = RAFT_MESSAGE_PRE_VOTE_RESPONSE, .vote_response = {.granted = true}},
        {.type = RAFT_MESSAGE_VOTE, .vote = {.last = {4, 2}, .is_transfer = true}},
        {.type = RAFT_MESSAGE_VOTE_RESPONSE},
        {.type = RAFT_MESSAGE_APPEND,
         .append = {.previous = {7, 2}, .commit = 6, .entries = entries, .count = 4}},
        {.type = RAFT_MESSAGE_APPEND, .append = {.previous = {7, 2}, .commit = 6}},
        {.type = RAFT_MESSAGE_APPEND_RESPONSE, .append_response = {.index = 11}},
        {.type = RAFT_MESSAGE_APPEND_RESPONSE,
         .append_response = {.rejected = true, .index = 11, .hint = {5, 1}}},
        {.type = RAFT_MESSAGE_HEARTBEAT, .heartbeat = {.commit = 6, .round = 77}},
        {.type = RAFT_MESSAGE_HEARTBEAT_RESPONSE, .heartbeat_response = {.round = 77}},
        {.type = RAFT_MESSAGE_INSTALL_SNAPSHOT,
         .install_snapshot = {.meta = {.last = {100, 3},
                                       .members = {3, {{1, true}, {2, true}, {3, false}}}}}},
        {.type = RAFT_MESSAGE_READ_INDEX, .read_index = {.id = 99}},
        {.type = RAFT_MESSAGE_READ_INDEX_RESPONSE, .read_index = {.id = 99, .index = 6}},
        {.type = RAFT_MESSAGE_TIMEOUT_NOW},
    };
    uint32_t count = sizeof messages / sizeof messages[0];
    for (uint32_t i = 0; i < count; i++) {
        out[i] = messages[i];
        out[i].from = 0x1122334455667788;
        out[i].to = 2;
        out[i].term = 3;
    }
    return count;
}

static void test_every_message_survives_encoding(void **state)
{
    (void)state;
    make_entries();
    struct raft_message messages[32];
    uint32_t count = all_messages(messages);
    struct raft_decoder decoder;
    raft_decoder_init(&decoder);
    for (uint32_t i = 0; i < count; i++) {
        struct buf first = BUF_INIT;
        struct buf second = BUF_INIT;
        raft_message_encode(&messages[i], &first);
        struct raft_message back;
        struct err err;
        assert_int_equal(raft_message_decode(buf_bytes(&first), &decoder, &back, &err), 0);
        assert_int_equal(back.type, messages[i].type);
        assert_int_equal(back.from, messages[i].from);
        assert_int_equal(back.term, messages[i].term);
        raft_message_encode(&back, &second);
        assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
        buf_deinit(&first);
        buf_deinit(&second);
    }
    raft_decoder_deinit(&decoder);
    free_entries();
}

static void test_entries_come_back_with_positions_types_and_data(void **state)
{
    (void)state;
    make_entries();
    struct raft_message messages[32];
    (void)all_messages(messages);
    struct raft_decoder decoder;
    raft_decoder_init(&decoder);
    struct buf buf = BUF_INIT;
    raft_message_encode(&messages[4], &buf);
    struct raft_message back;
    assert_int_equal(raft_message_decode(buf_bytes(&buf), &decoder, &back, NULL), 0);
    assert_int_equal(back.append.count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(back.append.entries[i].at.index, 8 + i);
        assert_int_equal(back.append.entries[i].at.term, entries[i].at.term);
        assert_int_equal(back.append.entries[i].type, entries[i].type);
        assert_true(
            bytes_equal(blob_bytes(back.append.entries[i].data), blob_bytes(entries[i].data)));
    }
    buf_deinit(&buf);
    raft_decoder_deinit(&decoder);
    free_entries();
}

static void test_one_body_serves_several_heads(void **state)
{
    (void)state;
    make_entries();
    struct raft_message messages[32];
    (void)all_messages(messages);
    struct buf body = BUF_INIT;
    raft_message_encode_body(&messages[4], &body);
    assert_int_equal(buf_size(&body), raft_message_body_size(&messages[4]));
    struct raft_decoder decoder;
    raft_decoder_init(&decoder);
    for (raft_id to = 2; to <= 3; to++) {
        messages[4].to = to;
        struct buf whole = BUF_INIT;
        raft_message_encode_head(&messages[4], (uint32_t)buf_size(&body), &whole);
        buf_append_bytes(&whole, buf_bytes(&body));
        struct raft_message back;
        assert_int_equal(raft_message_decode(buf_bytes(&whole), &decoder, &back, NULL), 0);
        assert_int_equal(back.to, to);
        assert_int_equal(back.append.count, 4);
        buf_deinit(&whole);
    }
    buf_deinit(&body);
    raft_decoder_deinit(&decoder);
    free_entries();
}

static void test_every_cut_and_every_extra_byte_is_refused(void **state)
{
    (void)state;
    make_entries();
    struct raft_message messages[32];
    uint32_t count = all_messages(messages);
    struct raft_decoder decoder;
    raft_decoder_init(&decoder);
    for (uint32_t i = 0; i < count; i++) {
        struct buf buf = BUF_INIT;
        raft_message_encode(&messages[i], &buf);
        struct raft_message back;
        for (size_t size = 0; size < buf_size(&buf); size++) {
            struct bytes cut = bytes_make(buf_bytes(&buf).data, size);
            assert_int_not_equal(raft_message_decode(cut, &decoder, &back, NULL), 0);
        }
        buf_append_u8(&buf, 0);
        assert_int_equal(raft_message_decode(buf_bytes(&buf), &decoder, &back, NULL),
                         ERR_MALFORMED);
        buf_deinit(&buf);
    }
    raft_decoder_deinit(&decoder);
    free_entries();
}

static void test_flipped_bits_never_get_past_the_checks_unseen(void **state)
{
    (void)state;
    make_entries();
    struct raft_message messages[32];
    uint32_t count = all_messages(messages);
    struct raft_decoder decoder;
    raft_decoder_init(&decoder);
    for (uint32_t i = 0; i < count; i++) {
        struct buf buf = BUF_INIT;
        raft_message_encode(&messages[i], &buf);
        for (size_t bit = 0; bit < buf_size(&buf) * 8; bit++) {
            buf.data[buf.start + bit / 8] ^= (uint8_t)(1U << (bit % 8));
            struct raft_message back;
            struct buf again = BUF_INIT;
            if (raft_message_decode(buf_bytes(&buf), &decoder, &back, NULL) == 0) {
                /* Then it is another message, and says so. */
                raft_message_encode(&back, &again);
                assert_true(bytes_equal(buf_bytes(&buf), buf_bytes(&again)));
            }
            buf_deinit(&again);
            buf.data[buf.start + bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
        buf_deinit(&buf);
    }
    raft_decoder_deinit(&decoder);
    free_entries();
}

static void test_versions_and_types_of_the_future_are_told_apart(void **state)
{
    (void)state;
    struct raft_message message = {.type = RAFT_MESSAGE_TIMEOUT_NOW, .from = 1, .to = 2, .term = 3};
    struct buf buf = BUF_INIT;
    raft_message_encode(&message, &buf);
    struct raft_decoder decoder;
    raft_decoder_init(&decoder);
    buf.data[0] = 2;
    assert_int_equal(raft_message_decode(buf_bytes(&buf), &decoder, &message, NULL),
                     ERR_UNSUPPORTED);
    buf.data[0] = 1;
    buf.data[1] = 13;
    assert_int_equal(raft_message_decode(buf_bytes(&buf), &decoder, &message, NULL),
                     ERR_UNSUPPORTED);
    buf_deinit(&buf);
    raft_decoder_deinit(&decoder);
}

static void test_senseless_messages_are_refused(void **state)
{
    (void)state;
    struct raft_entry gap[] = {{{9, 2}, RAFT_ENTRY_COMMAND, NULL}};
    struct raft_entry old[] = {{{8, 1}, RAFT_ENTRY_COMMAND, NULL}};
    struct raft_entry future[] = {{{8, 4}, RAFT_ENTRY_COMMAND, NULL}};
    struct raft_entry bare[] = {{{8, 3}, RAFT_ENTRY_CONFIG, NULL}};
    struct raft_entry typeless[] = {{{8, 3}, (enum raft_entry_type)9, NULL}};
    const struct raft_message bad[] = {
        {.type = RAFT_MESSAGE_TIMEOUT_NOW, .from = 0, .to = 2, .term = 3},
        {.type = RAFT_MESSAGE_TIMEOUT_NOW, .from = 1, .to = 0, .term = 3},
        {.type = RAFT_MESSAGE_TIMEOUT_NOW, .from = 2, .to = 2, .term = 3},
        {.type = RAFT_MESSAGE_TIMEOUT_NOW, .from = 1, .to = 2, .term = 0},
        {.type = RAFT_MESSAGE_TIMEOUT_NOW, .from = 1, .to = 2, .term = UINT64_MAX},
        {.type = (enum raft_message_type)99, .from = 1, .to = 2, .term = 3},
        {.type = RAFT_MESSAGE_VOTE, .from = 1, .to = 2, .term = 3, .vote = {.last = {1, 0}}},
        {.type = RAFT_MESSAGE_VOTE, .from = 1, .to = 2, .term = 3, .vote = {.last = {1, 4}}},
        {.type = RAFT_MESSAGE_APPEND,
         .from = 1,
         .to = 2,
         .term = 3,
         .append = {.previous = {7, 2}, .entries = gap, .count = 1}},
        {.type = RAFT_MESSAGE_APPEND,
         .from = 1,
         .to = 2,
         .term = 3,
         .append = {.previous = {7, 2}, .entries = old, .count = 1}},
        {.type = RAFT_MESSAGE_APPEND,
         .from = 1,
         .to = 2,
         .term = 3,
         .append = {.previous = {7, 2}, .entries = future, .count = 1}},
        {.type = RAFT_MESSAGE_APPEND,
         .from = 1,
         .to = 2,
         .term = 3,
         .append = {.previous = {7, 2}, .entries = bare, .count = 1}},
        {.type = RAFT_MESSAGE_APPEND,
         .from = 1,
         .to = 2,
         .term = 3,
         .append = {.previous = {7, 2}, .entries = typeless, .count = 1}},
        {.type = RAFT_MESSAGE_APPEND,
         .from = 1,
         .to = 2,
         .term = 3,
         .append = {.previous = {7, 2}, .entries = gap, .count = RAFT_APPEND_ENTRIES_MAX + 1}},
        {.type = RAFT_MESSAGE_INSTALL_SNAPSHOT, .from = 1, .to = 2, .term = 3},
        {.type = RAFT_MESSAGE_INSTALL_SNAPSHOT,
         .from = 1,
         .to = 2,
         .term = 3,
         .install_snapshot = {.meta = {.last = {5, 2}}}},
        {.type = RAFT_MESSAGE_APPEND_RESPONSE,
         .from = 1,
         .to = 2,
         .term = 3,
         .append_response = {.rejected = true, .hint = {0, 4}}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        assert_int_equal(raft_message_check(&bad[i], &err), ERR_MALFORMED);
        assert_true(err.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_survives_encoding),
        cmocka_unit_test(test_entries_come_back_with_positions_types_and_data),
        cmocka_unit_test(test_one_body_serves_several_heads),
        cmocka_unit_test(test_every_cut_and_every_extra_byte_is_refused),
        cmocka_unit_test(test_flipped_bits_never_get_past_the_checks_unseen),
        cmocka_unit_test(test_versions_and_types_of_the_future_are_told_apart),
        cmocka_unit_test(test_senseless_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
