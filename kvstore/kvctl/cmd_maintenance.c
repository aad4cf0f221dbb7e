/* alarm list, alarm disarm, downgrade. */
#include <string.h>

#include "base/cleanup.h"
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/session.h"

static int call_alarm(struct invocation *inv, Etcdserverpb__AlarmRequest__AlarmAction action,
                      const char *verb)
{
    if (inv->argument_count != 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "alarm %s command accepts no arguments", verb);
    }
    Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;
    request.action = action;
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_alarm, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_alarms(&inv->session->printer, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_alarm_list(struct invocation *inv)
{
    return call_alarm(inv, ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET, "list");
}

/* Deactivating is asked for alarm by alarm: what is active is told by a list first. */
static int run_alarm_disarm(struct invocation *inv)
{
    if (inv->argument_count != 0) {
        return command_fail(EXIT_CODE_BAD_ARGS, "alarm disarm command accepts no arguments");
    }
    Etcdserverpb__AlarmRequest list = ETCDSERVERPB__ALARM_REQUEST__INIT;
    CLEANUP(answer) struct answer active = {0};
    int code = session_call(inv, &kv_alarm, &list.base, &active);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    const Etcdserverpb__AlarmResponse *alarms = active.message;
    Etcdserverpb__AlarmResponse disarmed = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    disarmed.alarms = arena_alloc(inv->arena, (alarms->n_alarms + 1) * sizeof *disarmed.alarms);
    for (size_t i = 0; i < alarms->n_alarms; i++) {
        Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;
        request.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
        request.memberid = alarms->alarms[i]->memberid;
        request.alarm = alarms->alarms[i]->alarm;
        CLEANUP(answer) struct answer answer = {0};
        code = session_call(inv, &kv_alarm, &request.base, &answer);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        disarmed.alarms[disarmed.n_alarms++] = alarms->alarms[i];
    }
    struct err err;
    int result = print_alarms(&inv->session->printer, &disarmed, &err);
    return session_show(inv, result, &err);
}

static int downgrade(struct invocation *inv, const char *verb,
                     Etcdserverpb__DowngradeRequest__DowngradeAction action, bool with_version)
{
    if (with_version && inv->argument_count < 1) {
        return command_fail(EXIT_CODE_BAD_ARGS, "TARGET_VERSION not provided");
    }
    if (inv->argument_count > (with_version ? 1 : 0)) {
        return command_fail(EXIT_CODE_BAD_ARGS, "too many arguments");
    }
    Etcdserverpb__DowngradeRequest request;
    etcdserverpb__downgrade_request__init(&request);
    request.action = action;
    if (with_version) {
        request.version = arena_strdup(inv->arena, inv->arguments[0]);
        if (*request.version == '\0') {
            return command_fail(EXIT_CODE_BAD_ARGS, "target version not provided");
        }
    }
    CLEANUP(answer) struct answer answer = {0};
    int code = session_call(inv, &kv_downgrade, &request.base, &answer);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct err err;
    int result = print_downgrade(&inv->session->printer, verb, answer.message, &err);
    return session_show(inv, result, &err);
}

static int run_downgrade_validate(struct invocation *inv)
{
    return downgrade(inv, "validate", ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__VALIDATE,
                     true);
}

static int run_downgrade_enable(struct invocation *inv)
{
    return downgrade(inv, "enable", ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE,
                     true);
}

static int run_downgrade_cancel(struct invocation *inv)
{
    return downgrade(inv, "cancel", ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL,
                     false);
}

const struct command maintenance_commands[] = {
    {
        .path = "alarm list",
        .group = "maintenance",
        .summary = "List raised alarms",
        .run = run_alarm_list,
        .examples = "$ kvctl alarm list",
    },
    {
        .path = "alarm disarm",
        .group = "maintenance",
        .summary = "End all alarms",
        .run = run_alarm_disarm,
        .examples = "# After space was made by compaction and defrag:\n"
                    "$ kvctl alarm disarm",
    },
    {
        .path = "downgrade validate",
        .group = "maintenance",
        .summary = "Check that the cluster can be downgraded",
        .arguments = "<version>",
        .run = run_downgrade_validate,
        .examples = "$ kvctl downgrade validate 3.6",
    },
    {
        .path = "downgrade enable",
        .group = "maintenance",
        .summary = "Begin a downgrade",
        .arguments = "<version>",
        .run = run_downgrade_enable,
        .examples = "$ kvctl downgrade enable 3.6",
    },
    {
        .path = "downgrade cancel",
        .group = "maintenance",
        .summary = "Give up a downgrade",
        .run = run_downgrade_cancel,
        .examples = "$ kvctl downgrade cancel",
    },
    {.path = NULL},
};
