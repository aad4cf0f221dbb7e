/* Alarms: AlarmRequest{action, memberID, alarm} of the Maintenance service. */
#include "base/check.h"
#include "base/pb.h"
#include "kvstore/mvcc/meta_key.h"
#include "kvstore/state/kv_internal.h"

enum { META_PREFIX_SIZE = 7, ACTION_GET = 0, ACTION_ACTIVATE = 1, ACTION_DEACTIVATE = 2 };

struct alarm_request {
    uint64_t action;
    uint64_t member_id;
    uint64_t alarm;
};

static int decode(struct bytes message, struct alarm_request *ret_request)
{
    struct alarm_request request = {0};
    struct pb_reader reader = pb_reader_make(message);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_VARINT(1):
            request.action = field.value;
            break;
        case PB_VARINT(2):
            request.member_id = field.value;
            break;
        case PB_VARINT(3):
            request.alarm = field.value;
            break;
        default:
            break;
        }
    }
    *ret_request = request;
    return reader.failed ? ERR_MALFORMED : 0;
}

static struct bytes meta_key(uint8_t *memory, struct kv_alarm_member alarm)
{
    uint8_t prefix[] = {'a', 'l', 'a', 'r', 'm', '/', (uint8_t)alarm.alarm};
    return meta_key_make(memory, bytes_make(prefix, sizeof prefix), alarm.member_id);
}

int restore_alarms(struct kv *kv, struct backend *backend, struct err *err)
{
    struct backend_meta found[ALARMS_MAX];
    uint32_t count = 0;
    kv->alarms.count = 0;
    int code = backend_meta_scan(backend, BYTES_LITERAL("alarm/"), (struct bytes){NULL, 0}, found,
                                 ALARMS_MAX, &count, err);
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        struct kv_alarm_member alarm = {0, KV_ALARM_NO_SPACE};
        if (found[i].key.size != META_PREFIX_SIZE + META_ID_SIZE ||
            found[i].key.data[6] < KV_ALARM_NO_SPACE || found[i].key.data[6] > KV_ALARM_CORRUPT) {
            return err_set(err, ERR_CORRUPT, "a stored alarm cannot be decoded");
        }
        alarm.alarm = (enum kv_alarm)found[i].key.data[6];
        alarm.member_id = meta_key_id(found[i].key, META_PREFIX_SIZE);
        (void)alarms_raise(&kv->alarms, alarm); /* as many as were stored */
    }
    return code;
}

static void append_alarm(struct buf *out, struct kv_alarm_member alarm)
{
    size_t mark = pb_begin_message(out, 2);
    pb_put_u64(out, 1, alarm.member_id);
    pb_put_u64(out, 2, alarm.alarm);
    pb_end_message(out, mark);
}

/* The alarms of a kind; kind 0 is every kind. */
static void append_alarms(const struct kv *kv, struct buf *out, uint64_t kind)
{
    for (uint32_t i = 0; i < kv->alarms.count; i++) {
        if (kind == 0 || (uint64_t)kv->alarms.alarm[i].alarm == kind) {
            append_alarm(out, kv->alarms.alarm[i]);
        }
    }
}

/* Whether the set now holds what the answer names. */
static bool change(struct kv *kv, const struct alarm_request *request, struct kv_alarm_member alarm)
{
    uint8_t key[META_KEY_SIZE_MAX];
    if (request->action == ACTION_ACTIVATE) {
        if (!alarms_raise(&kv->alarms, alarm)) {
            return false;
        }
        backend_batch_meta_put(mvcc_batch(kv->mvcc), meta_key(key, alarm), BYTES_LITERAL("1"));
        return true;
    }
    if (!alarms_clear(&kv->alarms, alarm)) {
        return false;
    }
    backend_batch_meta_delete(mvcc_batch(kv->mvcc), meta_key(key, alarm));
    return true;
}

enum etcd_error apply_alarm(struct kv *kv, const struct kv_apply_context *context)
{
    struct alarm_request request;
    if (decode(context->request, &request) != 0) {
        return ETCD_INVALID_ENTRY;
    }
    bool is_known = request.alarm == KV_ALARM_NO_SPACE || request.alarm == KV_ALARM_CORRUPT;
    bool is_change = request.action == ACTION_ACTIVATE || request.action == ACTION_DEACTIVATE;
    struct kv_alarm_member alarm = {request.member_id, request.alarm == KV_ALARM_CORRUPT
                                                           ? KV_ALARM_CORRUPT
                                                           : KV_ALARM_NO_SPACE};
    bool changed = is_change && is_known && change(kv, &request, alarm);
    if (context->reply == NULL) {
        return ETCD_OK;
    }
    reply_header(kv, context->reply, mvcc_revision(kv->mvcc));
    if (changed) {
        append_alarm(context->reply, alarm);
    } else if (request.action == ACTION_GET) {
        append_alarms(kv, context->reply, request.alarm);
    }
    return ETCD_OK;
}

void kv_alarm_get(struct kv *kv, struct bytes request, struct kv_result *result)
{
    struct alarm_request decoded;
    if (decode(request, &decoded) != 0) {
        result->status = ETCD_INVALID_REQUEST;
        return;
    }
    result->status = ETCD_OK;
    reply_header(kv, &result->reply, mvcc_revision(kv->mvcc));
    append_alarms(kv, &result->reply, decoded.alarm);
}

void kv_encode_alarm_no_space(const struct kv *kv, struct buf *out)
{
    pb_put_u64(out, 1, ACTION_ACTIVATE);
    pb_put_u64(out, 2, kv->options.member_id);
    pb_put_u64(out, 3, KV_ALARM_NO_SPACE);
}

void kv_encode_alarm_corrupt(uint64_t member_id, struct buf *out)
{
    pb_put_u64(out, 1, ACTION_ACTIVATE);
    pb_put_u64(out, 2, member_id);
    pb_put_u64(out, 3, KV_ALARM_CORRUPT);
}

bool kv_is_fenced(const struct kv *kv)
{
    const struct kv_alarm_member own = {kv->options.member_id, KV_ALARM_CORRUPT};
    const struct kv_alarm_member everybody = {0, KV_ALARM_CORRUPT};
    return kv->alarms.count > 0 &&
           (alarms_has(&kv->alarms, own) || alarms_has(&kv->alarms, everybody));
}

uint32_t kv_alarms(const struct kv *kv, struct kv_alarm_member *ret_alarms, uint32_t max)
{
    for (uint32_t i = 0; i < kv->alarms.count && i < max; i++) {
        ret_alarms[i] = kv->alarms.alarm[i];
    }
    return kv->alarms.count;
}
