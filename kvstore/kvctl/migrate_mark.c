/* The mark: "<source cluster in hex> copy|follow <revision>". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/migrate_live.h"

static ProtobufCBinaryData mark_key(void)
{
    return (ProtobufCBinaryData){LIVE_MARK_KEY.size, (uint8_t *)(uintptr_t)LIVE_MARK_KEY.data};
}

static int parse(struct live *live, ProtobufCBinaryData value)
{
    char text[80];
    char phase[8];
    uint64_t cluster = 0;
    int64_t revision = 0;
    (void)snprintf(text, sizeof text, "%.*s", (int)(value.len < 79 ? value.len : 79),
                   (const char *)value.data);
    if (sscanf(text, "%" SCNx64 " %7s %" SCNd64, &cluster, phase, &revision) != 3) {
        return command_fail(EXIT_CODE_ERROR, "the mark of an earlier migration cannot be read");
    }
    if (cluster != live->source_cluster) {
        return command_fail(EXIT_CODE_ERROR,
                            "a migration from cluster %" PRIx64
                            " is under way there, this is %" PRIx64,
                            cluster, live->source_cluster);
    }
    live->has_mark = true;
    live->is_copied = strcmp(phase, "follow") == 0;
    live->revision = revision;
    return EXIT_CODE_OK;
}

int live_mark_read(struct live *live)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = mark_key();
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(live->target, &kv_range, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__RangeResponse *found = answer.message;
    if (found->n_kvs > 0) {
        return parse(live, found->kvs[0]->value);
    }
    /* The first time: never into a store that somebody uses. */
    CLEANUP(answer) struct answer all = {0};
    request.key = (ProtobufCBinaryData){1, (uint8_t[]){0}};
    request.range_end = request.key;
    request.count_only = true;
    code = session_call(live->target, &kv_range, &request.base, &all);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    found = all.message;
    return found->count == 0
               ? EXIT_CODE_OK
               : command_fail(EXIT_CODE_ERROR, "the target is not empty: it has %" PRId64 " keys",
                              found->count);
}

Etcdserverpb__RequestOp *live_mark_op(const struct live *live, bool is_copied, int64_t revision,
                                      struct arena *arena)
{
    char *text = arena_printf(arena, "%" PRIx64 " %s %" PRId64, live->source_cluster,
                              is_copied ? "follow" : "copy", revision);
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    kv.key = mark_key();
    kv.value = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    return live_put_op(&kv, false, arena);
}

int live_mark_write(struct live *live, bool is_copied, int64_t revision)
{
    CLEANUP(arena) struct arena arena = ARENA_INIT;
    Etcdserverpb__RequestOp *op = live_mark_op(live, is_copied, revision, &arena);
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(live->target, &kv_put, &op->request_put->base, &answer);
    if (code == EXIT_CODE_OK) {
        live->has_mark = true;
        live->is_copied = is_copied;
        live->revision = revision;
    }
    return code;
}

int live_mark_remove(struct live *live)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = mark_key();
    CLEANUP(answer) struct answer answer = {0};
    return session_call(live->target, &kv_delete_range, &request.base, &answer);
}
