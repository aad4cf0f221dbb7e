#include "base/log.h"
#include "base/mem.h"
#include "kvstore/server/service.h"

/* Defragment answers when the compacted copy is in place; reads and writes go on meanwhile. */
struct defragment_call {
    struct grpc_call *call; /* a reference: the client may have gone */
};

static void on_defragmented(void *data, int code, const char *text)
{
    struct defragment_call *defragment = data;
    struct grpc_call *call = defragment->call;
    if (code == 0) {
        log_info("finished defragmenting");
        if (grpc_call_is_open(call)) {
            service_send(call, (struct bytes){NULL, 0});
            service_finish(call, GRPC_OK, NULL);
        }
    } else {
        log_error("cannot defragment", LOG_TEXT("error", text));
        if (grpc_call_is_open(call)) {
            service_finish(call, GRPC_UNKNOWN, text);
        }
    }
    grpc_call_unref(call);
    mem_free(defragment);
}

void maintenance_service_defragment(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    if (node_is_learner(core_node(service->core))) {
        service_fail(call, ETCD_LEARNER_UNSUPPORTED);
        return;
    }
    struct defragment_call *defragment = mem_alloc(sizeof *defragment);
    defragment->call = grpc_call_ref(call);
    if (core_defragment(service->core, on_defragmented, defragment) != 0) {
        grpc_call_unref(call);
        mem_free(defragment);
        service_finish(call, GRPC_UNAVAILABLE, "a defragmentation is in progress");
    }
}
void maintenance_service_snapshot(struct grpc_call *call)
{
    service_finish(call, GRPC_UNIMPLEMENTED, "");
}
void maintenance_service_snapshot_writable(struct grpc_call *call)
{
    (void)call;
}
void maintenance_service_snapshot_cancel(struct grpc_call *call)
{
    (void)call;
}
