#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/printer.h"
#include "kvstore/kvctl/text_table.h"

static Etcdserverpb__ResponseHeader header = {
    PROTOBUF_C_MESSAGE_INIT(&etcdserverpb__response_header__descriptor), 0xcdf818194e3a8c32,
    0x8e9e05c52164694d, 3, 2};
static char key_text[] = "foo";
static char value_text[] = "b\xff";

static Mvccpb__KeyValue key_value(void)
{
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    kv.key = (ProtobufCBinaryData){3, (uint8_t *)key_text};
    kv.value = (ProtobufCBinaryData){2, (uint8_t *)value_text};
    kv.create_revision = 2;
    kv.mod_revision = 3;
    kv.version = 2;
    return kv;
}

struct out {
    struct buf buf;
    struct printer printer;
};

static struct printer *in_format(struct out *out, enum output_format format)
{
    buf_clear(&out->buf);
    out->printer = (struct printer){.format = format, .out = &out->buf};
    return &out->printer;
}

static void test_get_in_every_format(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    struct err err;
    Mvccpb__KeyValue kv = key_value();
    Mvccpb__KeyValue *kvs[] = {&kv};
    Etcdserverpb__RangeResponse r = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    r.header = &header;
    r.kvs = kvs;
    r.n_kvs = 1;
    r.count = 1;
    assert_int_equal(print_range(in_format(&out, OUTPUT_SIMPLE), &r, &err), 0);
    assert_string_equal(buf_text(&out.buf), "foo\nb\xff\n");
    assert_int_equal(print_range(in_format(&out, OUTPUT_JSON), &r, &err), 0);
    assert_string_equal(
        buf_text(&out.buf),
        "{\"header\":{\"cluster_id\":14841639068965178418,\"member_id\":10276657743932975437,"
        "\"revision\":3,\"raft_term\":2},\"kvs\":[{\"key\":\"Zm9v\",\"create_revision\":2,"
        "\"mod_revision\":3,\"version\":2,\"value\":\"Yv8=\"}],\"count\":1}\n");
    assert_int_equal(print_range(in_format(&out, OUTPUT_FIELDS), &r, &err), 0);
    assert_string_equal(buf_text(&out.buf), "\"ClusterID\" : 14841639068965178418\n"
                                            "\"MemberID\" : 10276657743932975437\n"
                                            "\"Revision\" : 3\n\"RaftTerm\" : 2\n"
                                            "\"Key\" : \"foo\"\n\"CreateRevision\" : 2\n"
                                            "\"ModRevision\" : 3\n\"Version\" : 2\n"
                                            "\"Value\" : \"b\\xff\"\n\"Lease\" : 0\n"
                                            "\"More\" : false\n\"Count\" : 1\n");
    assert_int_equal(print_range(in_format(&out, OUTPUT_TABLE), &r, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.text, "table not supported as output format");
    assert_int_equal(print_range(in_format(&out, OUTPUT_PROTOBUF), &r, &err), 0);
    Etcdserverpb__RangeResponse *again =
        etcdserverpb__range_response__unpack(NULL, buf_size(&out.buf), buf_bytes(&out.buf).data);
    assert_non_null(again);
    assert_int_equal(again->kvs[0]->mod_revision, 3);
    etcdserverpb__range_response__free_unpacked(again, NULL);
    buf_deinit(&out.buf);
}

static void test_hex_and_values_only(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    struct err err;
    Mvccpb__KeyValue kv = key_value();
    Mvccpb__KeyValue *kvs[] = {&kv};
    Etcdserverpb__RangeResponse r = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    r.kvs = kvs;
    r.n_kvs = 1;
    struct printer *p = in_format(&out, OUTPUT_SIMPLE);
    p->is_hex = true;
    assert_int_equal(print_range(p, &r, &err), 0);
    assert_string_equal(buf_text(&out.buf), "\\x66\\x6f\\x6f\n\\x62\\xff\n");
    p = in_format(&out, OUTPUT_SIMPLE);
    p->is_value_only = true;
    assert_int_equal(print_range(p, &r, &err), 0);
    assert_string_equal(buf_text(&out.buf), "b\xff\n");
    buf_deinit(&out.buf);
}

static void test_txn_shows_each_response(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    struct err err;
    Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
    Etcdserverpb__DeleteRangeResponse del = ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;
    del.deleted = 2;
    Etcdserverpb__ResponseOp ops[3] = {ETCDSERVERPB__RESPONSE_OP__INIT,
                                       ETCDSERVERPB__RESPONSE_OP__INIT,
                                       ETCDSERVERPB__RESPONSE_OP__INIT};
    ops[0].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
    ops[0].response_put = &put;
    ops[1].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
    ops[1].response_delete_range = &del;
    Etcdserverpb__ResponseOp *pointers[] = {&ops[0], &ops[1], &ops[2]};
    Etcdserverpb__TxnResponse r = ETCDSERVERPB__TXN_RESPONSE__INIT;
    r.succeeded = true;
    r.responses = pointers;
    r.n_responses = 3;
    assert_int_equal(print_txn(in_format(&out, OUTPUT_SIMPLE), &r, &err), 0);
    assert_string_equal(buf_text(&out.buf), "SUCCESS\n\nOK\n\n2\n\nunexpected response\n");
    assert_int_equal(print_txn(in_format(&out, OUTPUT_JSON), &r, &err), 0);
    assert_string_equal(buf_text(&out.buf),
                        "{\"succeeded\":true,\"responses\":[{\"Response\":{\"response_put\":{}}},"
                        "{\"Response\":{\"response_delete_range\":{\"deleted\":2}}},"
                        "{\"Response\":{}}]}\n");
    buf_deinit(&out.buf);
}

static void test_watch_json_is_the_go_client_struct(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    struct err err;
    Mvccpb__KeyValue kv = key_value();
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    event.type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
    event.kv = &kv;
    Mvccpb__Event *events[] = {&event};
    Etcdserverpb__WatchResponse r;
    etcdserverpb__watch_response__init(&r);
    r.header = &header;
    r.events = events;
    r.n_events = 1;
    assert_int_equal(print_watch(in_format(&out, OUTPUT_JSON), &r, &err), 0);
    assert_string_equal(
        buf_text(&out.buf),
        "{\"Header\":{\"cluster_id\":14841639068965178418,\"member_id\":10276657743932975437,"
        "\"revision\":3,\"raft_term\":2},\"Events\":[{\"type\":1,\"kv\":{\"key\":\"Zm9v\","
        "\"create_revision\":2,\"mod_revision\":3,\"version\":2,\"value\":\"Yv8=\"}}],"
        "\"CompactRevision\":0,\"Canceled\":false,\"Created\":false,\"CancelReason\":\"\"}\n");
    r.n_events = 0;
    assert_int_equal(print_watch(in_format(&out, OUTPUT_JSON), &r, &err), 0);
    assert_non_null(strstr(buf_text(&out.buf), "\"Events\":[],"));
    buf_deinit(&out.buf);
}

static void test_leases_put_the_header_on_the_same_level(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    struct err err;
    Etcdserverpb__LeaseTimeToLiveResponse r = ETCDSERVERPB__LEASE_TIME_TO_LIVE_RESPONSE__INIT;
    ProtobufCBinaryData keys[] = {{3, (uint8_t *)key_text}, {3, (uint8_t *)key_text}};
    r.header = &header;
    r.id = 0x1234;
    r.ttl = 5;
    r.grantedttl = 10;
    r.keys = keys;
    assert_int_equal(print_lease_time_to_live(in_format(&out, OUTPUT_JSON), &r, true, &err), 0);
    assert_string_equal(
        buf_text(&out.buf),
        "{\"cluster_id\":14841639068965178418,\"member_id\":10276657743932975437,\"revision\":3,"
        "\"raft_term\":2,\"id\":4660,\"ttl\":5,\"granted-ttl\":10,\"keys\":null}\n");
    r.n_keys = 2;
    assert_int_equal(print_lease_time_to_live(in_format(&out, OUTPUT_SIMPLE), &r, true, &err), 0);
    assert_string_equal(buf_text(&out.buf),
                        "lease 0000000000001234 granted with TTL(10s), remaining(5s), attached "
                        "keys([foo foo])\n");
    r.ttl = -1;
    r.grantedttl = 0;
    assert_int_equal(print_lease_time_to_live(in_format(&out, OUTPUT_SIMPLE), &r, true, &err), 0);
    assert_string_equal(buf_text(&out.buf), "lease 0000000000001234 already expired\n");
    buf_deinit(&out.buf);
}

static void test_members_as_table_and_in_hex(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    struct err err;
    char url[] = "http://a:1";
    char *urls[] = {url};
    Etcdserverpb__Member one;
    etcdserverpb__member__init(&one);
    one.id = 0xabc;
    one.peerurls = urls;
    one.n_peerurls = 1;
    one.islearner = true;
    Etcdserverpb__Member *members[] = {&one};
    Etcdserverpb__MemberListResponse r = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    r.header = &header;
    r.members = members;
    r.n_members = 1;
    assert_int_equal(print_member_list(in_format(&out, OUTPUT_TABLE), &r, &err), 0);
    assert_string_equal(buf_text(&out.buf),
                        "+-----+-----------+------+------------+--------------+------------+\n"
                        "| ID  |  STATUS   | NAME | PEER ADDRS | CLIENT ADDRS | IS LEARNER |\n"
                        "+-----+-----------+------+------------+--------------+------------+\n"
                        "| abc | unstarted |      | http://a:1 |              |       true |\n"
                        "+-----+-----------+------+------------+--------------+------------+\n");
    assert_int_equal(print_member_list(in_format(&out, OUTPUT_SIMPLE), &r, &err), 0);
    assert_string_equal(buf_text(&out.buf), "abc, unstarted, , http://a:1, , true\n");
    struct printer *p = in_format(&out, OUTPUT_JSON);
    p->is_hex = true;
    assert_int_equal(print_member_list(p, &r, &err), 0);
    assert_string_equal(buf_text(&out.buf),
                        "{\"header\":{\"cluster_id\":\"cdf818194e3a8c32\",\"member_id\":"
                        "\"8e9e05c52164694d\",\"revision\":3,\"raft_term\":2},\"members\":[{\"ID\":"
                        "\"abc\",\"peerURLs\":[\"http://a:1\"],\"isLearner\":true}]}\n");
    Etcdserverpb__MemberRemoveResponse removed = ETCDSERVERPB__MEMBER_REMOVE_RESPONSE__INIT;
    removed.header = &header;
    assert_int_equal(print_member_remove(in_format(&out, OUTPUT_SIMPLE), 0xabc, &removed, &err), 0);
    assert_string_equal(buf_text(&out.buf),
                        "Member              abc removed from cluster cdf818194e3a8c32\n");
    buf_deinit(&out.buf);
}

static void test_health_splits_good_and_bad(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    CLEANUP(buf) struct buf problems = BUF_INIT;
    struct err err;
    const struct endpoint_health list[] = {{"a:1", true, "1ms", ""}, {"b:2", false, "", "<down>"}};
    assert_int_equal(
        print_endpoint_health(in_format(&out, OUTPUT_SIMPLE), list, 2, &problems, &err), 0);
    assert_string_equal(buf_text(&out.buf),
                        "a:1 is healthy: successfully committed proposal: took = 1ms\n");
    assert_string_equal(buf_text(&problems),
                        "b:2 is unhealthy: failed to commit proposal: <down>\n");
    assert_int_equal(print_endpoint_health(in_format(&out, OUTPUT_JSON), list, 2, &problems, &err),
                     0);
    assert_string_equal(
        buf_text(&out.buf),
        "[{\"endpoint\":\"a:1\",\"health\":true,\"took\":\"1ms\"},{\"endpoint\":"
        "\"b:2\",\"health\":false,\"took\":\"\",\"error\":\"\\u003cdown\\u003e\"}]\n");
    buf_deinit(&out.buf);
}

static void test_status_of_an_empty_database_divides_by_nothing(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    struct err err;
    Etcdserverpb__StatusResponse r;
    etcdserverpb__status_response__init(&r);
    const struct endpoint_status list[] = {{"a:1", &r}};
    assert_int_equal(print_endpoint_status(in_format(&out, OUTPUT_SIMPLE), list, 1, &err), 0);
    assert_string_equal(buf_text(&out.buf),
                        "a:1, 0, , , 0 B, 0 B, 0%, 0 B, true, false, 0, 0, 0, , , false\n");
    assert_int_equal(print_endpoint_status(in_format(&out, OUTPUT_JSON), list, 1, &err), 0);
    assert_string_equal(buf_text(&out.buf), "[{\"Endpoint\":\"a:1\",\"Status\":{}}]\n");
    buf_deinit(&out.buf);
}

static void test_roles_name_prefixes_and_open_ends(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    struct err err;
    char end_text[] = "fop";
    char zero[] = "";
    Authpb__Permission permissions[3] = {AUTHPB__PERMISSION__INIT, AUTHPB__PERMISSION__INIT,
                                         AUTHPB__PERMISSION__INIT};
    for (int i = 0; i < 3; i++) {
        permissions[i].key = (ProtobufCBinaryData){3, (uint8_t *)key_text};
    }
    permissions[0].permtype = AUTHPB__PERMISSION__TYPE__READWRITE;
    permissions[0].range_end = (ProtobufCBinaryData){3, (uint8_t *)end_text};
    permissions[1].permtype = AUTHPB__PERMISSION__TYPE__WRITE;
    permissions[1].range_end = (ProtobufCBinaryData){1, (uint8_t *)zero};
    Authpb__Permission *pointers[] = {&permissions[0], &permissions[1], &permissions[2]};
    Etcdserverpb__AuthRoleGetResponse r = ETCDSERVERPB__AUTH_ROLE_GET_RESPONSE__INIT;
    r.perm = pointers;
    r.n_perm = 3;
    assert_int_equal(print_role(in_format(&out, OUTPUT_SIMPLE), "r", &r, &err), 0);
    assert_string_equal(buf_text(&out.buf), "Role r\nKV Read:\n\t[foo, fop) (prefix foo)\n\tfoo\n"
                                            "KV Write:\n\t[foo, fop) (prefix foo)\n"
                                            "\t[foo, <open ended>\n");
    r.n_perm = 0;
    assert_int_equal(print_role(in_format(&out, OUTPUT_SIMPLE), "root", &r, &err), 0);
    assert_string_equal(buf_text(&out.buf),
                        "Role root\nKV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>\n");
    buf_deinit(&out.buf);
}

static void test_alarms_print_as_compact_protobuf_text(void **state)
{
    (void)state;
    struct out out = {.buf = BUF_INIT};
    struct err err;
    Etcdserverpb__AlarmMember alarm = ETCDSERVERPB__ALARM_MEMBER__INIT;
    alarm.memberid = 12;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    Etcdserverpb__AlarmMember *alarms[] = {&alarm};
    Etcdserverpb__AlarmResponse r = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    r.alarms = alarms;
    r.n_alarms = 1;
    assert_int_equal(print_alarms(in_format(&out, OUTPUT_SIMPLE), &r, &err), 0);
    assert_string_equal(buf_text(&out.buf), "memberID:12 alarm:NOSPACE \n");
    assert_int_equal(print_alarms(in_format(&out, OUTPUT_JSON), &r, &err), 0);
    assert_string_equal(buf_text(&out.buf), "{\"alarms\":[{\"memberID\":12,\"alarm\":1}]}\n");
    buf_deinit(&out.buf);
}

static void test_tables_wrap_long_cells_at_spaces(void **state)
{
    (void)state;
    CLEANUP(buf) struct buf out = BUF_INIT;
    struct text_table table;
    text_table_init(&table, "a_b|text");
    text_table_add_row(&table);
    text_table_set(&table, 0, "1");
    text_table_set(&table, 1, "twelve chars and then some more words");
    text_table_append(&table, &out);
    text_table_deinit(&table);
    assert_string_equal(buf_text(&out), "+-----+----------------------------+\n"
                                        "| A B |            TEXT            |\n"
                                        "+-----+----------------------------+\n"
                                        "|   1 | twelve chars and then some |\n"
                                        "|     |                 more words |\n"
                                        "+-----+----------------------------+\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_in_every_format),
        cmocka_unit_test(test_hex_and_values_only),
        cmocka_unit_test(test_txn_shows_each_response),
        cmocka_unit_test(test_watch_json_is_the_go_client_struct),
        cmocka_unit_test(test_leases_put_the_header_on_the_same_level),
        cmocka_unit_test(test_members_as_table_and_in_hex),
        cmocka_unit_test(test_health_splits_good_and_bad),
        cmocka_unit_test(test_status_of_an_empty_database_divides_by_nothing),
        cmocka_unit_test(test_roles_name_prefixes_and_open_ends),
        cmocka_unit_test(test_alarms_print_as_compact_protobuf_text),
        cmocka_unit_test(test_tables_wrap_long_cells_at_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
