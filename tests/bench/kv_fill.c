/* kv_fill ENDPOINT KEYS - puts KEYS keys of 39 bytes with values of 256 bytes, in transactions of
 * 128 puts, 8 transactions under way. For scripts/bench: kvd and etcd are filled by the same
 * program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "kvstore/client/rpc.h"

enum { PUTS = 128, OPEN_MAX = 8, VALUE_BYTES = 256, KEY_BYTES = 39, TIMEOUT_MS = 60000 };

struct filler {
    struct kv_client *client;
    uint64_t next;
    uint64_t keys;
    unsigned open;
    int failed;
};

static void pump(struct filler *filler);

static void on_txn(void *context, const struct kv_reply *reply)
{
    struct filler *filler = context;
    filler->open -= 1;
    if (reply->status != GRPC_OK) {
        fprintf(stderr, "transaction failed: %s\n", reply->text);
        filler->failed = 1;
    }
    pump(filler);
}

static void send_txn(struct filler *filler)
{
    static uint8_t value[VALUE_BYTES];
    char keys[PUTS][KEY_BYTES + 1];
    Etcdserverpb__PutRequest puts[PUTS];
    Etcdserverpb__RequestOp ops[PUTS];
    Etcdserverpb__RequestOp *pointers[PUTS];
    memset(value, 'v', sizeof value);
    size_t count = 0;
    for (; count < PUTS && filler->next < filler->keys; count++, filler->next++) {
        (void)snprintf(keys[count], sizeof keys[count], "key/%035llu",
                       (unsigned long long)filler->next);
        puts[count] = (Etcdserverpb__PutRequest)ETCDSERVERPB__PUT_REQUEST__INIT;
        puts[count].key = (ProtobufCBinaryData){KEY_BYTES, (uint8_t *)keys[count]};
        puts[count].value = (ProtobufCBinaryData){VALUE_BYTES, value};
        ops[count] = (Etcdserverpb__RequestOp)ETCDSERVERPB__REQUEST_OP__INIT;
        ops[count].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        ops[count].request_put = &puts[count];
        pointers[count] = &ops[count];
    }
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    txn.success = pointers;
    txn.n_success = count;
    const struct kv_call_options options = {.timeout_ms = TIMEOUT_MS};
    filler->open += 1;
    (void)kv_client_txn(filler->client, &txn, &options, on_txn, filler);
}

static void pump(struct filler *filler)
{
    while (filler->open < OPEN_MAX && filler->next < filler->keys && filler->failed == 0) {
        send_txn(filler);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: kv_fill ENDPOINT KEYS\n");
        return 2;
    }
    struct filler filler = {.keys = strtoull(argv[2], NULL, 10)};
    uv_loop_t *loop = uv_default_loop();
    struct wire_loop *wire = wire_loop_new(loop);
    const char *endpoints[] = {argv[1]};
    const struct kv_client_options options = {
        .wire = wire, .endpoints = endpoints, .endpoint_count = 1, .dial_timeout_ms = 5000};
    struct err err = {0};
    if (kv_client_new(&options, &filler.client, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    pump(&filler);
    while (filler.open > 0) {
        (void)uv_run(loop, UV_RUN_ONCE);
    }
    return filler.failed;
}
