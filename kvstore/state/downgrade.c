/* Downgrade of the Maintenance service: whether the cluster may be asked to make room for the minor
 * version before its own. Source: etcd's "Downgrading" guide and its downgrade RPC.
 *
 * Only the wish is kept (cluster_downgrade): there is no older kvd that would need older data. */
#include <stdio.h>
#include <stdlib.h>

#include "base/pb.h"
#include "kvstore/state/kv_internal.h"

enum { ACTION_VALIDATE = 0, ACTION_ENABLE = 1, ACTION_CANCEL = 2 };

struct version {
    unsigned long major;
    unsigned long minor;
};

/* "3.6" or "3.6.0". */
static bool parse_version(struct bytes text, struct version *ret_version)
{
    char copy[32];
    char *end = NULL;
    if (text.size == 0 || text.size >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    if (strspn(copy, "0123456789.") != text.size || copy[0] == '.') {
        return false;
    }
    ret_version->major = strtoul(copy, &end, 10);
    if (end[0] != '.' || end[1] == 0 || end[1] == '.') {
        return false;
    }
    ret_version->minor = strtoul(end + 1, &end, 10);
    return end[0] == 0 || (end[0] == '.' && end[1] != 0 && strchr(end + 1, '.') == NULL);
}

static enum etcd_error check_target(const struct kv *kv, struct bytes target,
                                    struct version *ret_version)
{
    struct version current;
    if (!parse_version(target, ret_version)) {
        return ETCD_BAD_DOWNGRADE_FORMAT;
    }
    bool is_known = parse_version(bytes_from_text(KV_CLUSTER_VERSION), &current);
    bool is_next =
        is_known && ret_version->major == current.major && ret_version->minor + 1 == current.minor;
    if (!is_next) {
        return ETCD_BAD_DOWNGRADE_VERSION;
    }
    return cluster_downgrade(kv->cluster)[0] != 0 ? ETCD_DOWNGRADE_IN_PROGRESS : ETCD_OK;
}

void kv_request_downgrade(struct kv *kv, struct bytes request, struct kv_result *result,
                          struct buf *ret_proposal)
{
    uint64_t action = ACTION_VALIDATE;
    struct bytes target = {NULL, 0};
    struct version version = {0, 0};
    struct pb_reader reader = pb_reader_make(request);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            action = field.value;
        } else if (field.key == PB_BYTES(2)) {
            target = field.bytes;
        }
    }
    if (reader.failed || action > ACTION_CANCEL) {
        result->status = ETCD_INVALID_REQUEST;
        return;
    }
    if (action == ACTION_CANCEL) {
        bool is_under_way = cluster_downgrade(kv->cluster)[0] != 0;
        result->status = is_under_way ? ETCD_OK : ETCD_NO_DOWNGRADE;
    } else {
        result->status = check_target(kv, target, &version);
    }
    if (result->status != ETCD_OK) {
        return;
    }
    if (action == ACTION_VALIDATE) {
        reply_downgrade(kv, &result->reply);
    } else if (action == ACTION_ENABLE) {
        char text[32];
        (void)snprintf(text, sizeof text, "%lu.%lu.0", version.major, version.minor);
        pb_put_u64(ret_proposal, 1, 1);
        pb_put_text(ret_proposal, 2, text);
    } else {
        pb_put_u64(ret_proposal, 1, 0);
        pb_put_text(ret_proposal, 2, "-"); /* an entry must have a body */
    }
}

/* DowngradeResponse{header, version of the cluster}. */
void reply_downgrade(const struct kv *kv, struct buf *reply)
{
    reply_header(kv, reply, mvcc_revision(kv->mvcc));
    pb_put_text(reply, 2, KV_CLUSTER_VERSION);
}
