#include "orchestrator/objects/table.h"
#include "tests/unit/orchestrator/cunit.h"

/* The cells of one object, joined by bars, without the wide ones. */
static void assert_row(const char *storage, const char *object_text, const char *expected)
{
    const struct kind *kind = kinds_find_storage(NULL, storage);
    CLEANUP(json) json_t *object = from_text(object_text);
    CLEANUP(json) json_t *list = json_pack("[O]", object);
    CLEANUP(json) json_t *table = table_new(kind, list, NULL, TABLE_INCLUDE_NONE, true, 100000);
    const json_t *columns = json_object_get(table, "columnDefinitions");
    const json_t *cells =
        json_object_get(json_array_get(json_object_get(table, "rows"), 0), "cells");
    assert_int_equal(json_array_size(columns), json_array_size(cells));
    char *joined = mem_strdup("");
    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *cell = json_array_get(cells, i);
        if (tree_int(json_array_get(columns, i), "priority", 0) > 0) {
            continue;
        }
        char *shown = json_is_string(cell) ? mem_strdup(json_string_value(cell))
                                           : json_dumps(cell, JSON_ENCODE_ANY);
        char *more = mem_printf("%s%s%s", joined, *joined == '\0' ? "" : "|", shown);
        mem_free(joined);
        mem_free(shown);
        joined = more;
    }
    assert_string_equal(joined, expected);
    mem_free(joined);
}

#define META "'metadata':{'name':'x','creationTimestamp':'1970-01-01T00:00:40Z'}"

static void test_pods_say_in_one_word_how_they_are(void **state)
{
    (void)state;
    assert_row("pods",
               "{" META ",'spec':{'containers':[{'name':'a'}]},'status':{'phase':"
               "'Pending'}}",
               "x|0/1|Pending|0|60s");
    assert_row("pods",
               "{" META ",'spec':{'containers':[{'name':'a'},{'name':'b'}]},'status':{'phase':"
               "'Running','containerStatuses':[{'name':'a','ready':true,'restartCount':2,"
               "'state':{'running':{}}},{'name':'b','restartCount':0,'state':{'waiting':"
               "{'reason':'CrashLoopBackOff'}}}]}}",
               "x|1/2|CrashLoopBackOff|2|60s");
    assert_row("pods",
               "{" META ",'spec':{'containers':[{'name':'a'}],'initContainers':[{'name':'i'},"
               "{'name':'j'}]},'status':{'phase':'Pending','initContainerStatuses':[{'name':'i',"
               "'state':{'terminated':{'exitCode':0}}},{'name':'j','state':{'running':{}}}]}}",
               "x|0/1|Init:1/2|0|60s");
    assert_row("pods",
               "{'metadata':{'name':'x','creationTimestamp':'1970-01-01T00:00:40Z',"
               "'deletionTimestamp':'1970-01-01T00:01:00Z'},'spec':{'containers':[{'name':'a'}]},"
               "'status':{'phase':'Running'}}",
               "x|0/1|Terminating|0|60s");
    assert_row("pods",
               "{" META ",'spec':{'containers':[{'name':'a'}]},'status':{'phase':'Failed',"
               "'containerStatuses':[{'name':'a','restartCount':0,'state':{'terminated':"
               "{'exitCode':3}}}]}}",
               "x|0/1|ExitCode:3|0|60s");
}

static void test_workloads_show_their_numbers(void **state)
{
    (void)state;
    assert_row("deployments",
               "{" META ",'spec':{'replicas':3},'status':{'readyReplicas':2,"
               "'updatedReplicas':3,'availableReplicas':2}}",
               "x|2/3|3|2|60s");
    assert_row("jobs",
               "{" META ",'spec':{'completions':3},'status':{'succeeded':1,'startTime':"
               "'1970-01-01T00:00:45Z'}}",
               "x|Running|1/3|55s|60s");
    assert_row("services",
               "{" META ",'spec':{'type':'NodePort','clusterIP':'10.0.0.1','ports':"
               "[{'port':80,'nodePort':30080,'protocol':'TCP'}]}}",
               "x|NodePort|10.0.0.1|<none>|80:30080/TCP|60s");
    assert_row("nodes",
               "{'metadata':{'name':'x','creationTimestamp':'1970-01-01T00:00:40Z','labels':"
               "{'node-role.kubernetes.io/edge':''}},'spec':{'unschedulable':true},'status':"
               "{'conditions':[{'type':'Ready','status':'True'}],'nodeInfo':"
               "{'kubeletVersion':'v1'}}}",
               "x|Ready,SchedulingDisabled|edge|60s|v1");
}

static void test_kinds_without_columns_have_name_and_age(void **state)
{
    (void)state;
    assert_row("limitranges", "{" META "}", "x|60s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pods_say_in_one_word_how_they_are),
        cmocka_unit_test(test_workloads_show_their_numbers),
        cmocka_unit_test(test_kinds_without_columns_have_name_and_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
