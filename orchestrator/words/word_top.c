/* word_top.c - what nodes and pods use now; on a terminal again and again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "orchestrator/objects/tree.h"
#include "orchestrator/words/usage.h"
#include "orchestrator/words/workload_words.h"

enum { AGAIN_S = 2 };

struct row {
    const json_t *item;
    struct usage usage;
};

static struct usage usage_of_metrics(const json_t *item)
{
    if (json_object_get(item, "usage") != NULL) {
        return usage_of(json_object_get(item, "usage"));
    }
    struct usage sum = {0};
    const json_t *containers = json_object_get(item, "containers");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        struct usage one = usage_of(json_object_get(json_array_get(containers, i), "usage"));
        sum.cpu_milli += one.cpu_milli;
        sum.memory_bytes += one.memory_bytes;
    }
    return sum;
}

static int compare(const void *a, const void *b)
{
    const struct row *left = a;
    const struct row *right = b;
    if (left->usage.cpu_milli != right->usage.cpu_milli) {
        return left->usage.cpu_milli > right->usage.cpu_milli ? -1 : 1;
    }
    return strcmp(object_name(left->item), object_name(right->item));
}

/* The busiest first. */
static void append_items(const struct screen *screen, struct buf *out, const json_t *list,
                         const char *title, bool has_namespace)
{
    const json_t *items = json_object_get(list, "items");
    size_t count = json_array_size(items);
    struct row *rows = mem_calloc(count + 1, sizeof(*rows));
    for (size_t i = 0; i < count; i++) {
        rows[i].item = json_array_get(items, i);
        rows[i].usage = usage_of_metrics(rows[i].item);
    }
    qsort(rows, count, sizeof(*rows), compare);
    CLEANUP(screen_table) struct screen_table table;
    screen_table_init(&table, has_namespace ? 4 : 3);
    if (has_namespace) {
        screen_table_add(&table, "NAMESPACE");
    }
    screen_table_add(&table, "%s", title);
    screen_table_add(&table, "CPU");
    screen_table_add(&table, "MEMORY");
    for (size_t i = 0; i < count; i++) {
        char text[2][USAGE_TEXT_SIZE];
        if (has_namespace) {
            screen_table_add(&table, "%s", object_namespace(rows[i].item));
        }
        screen_table_add(&table, "%s", object_name(rows[i].item));
        screen_table_add(&table, "%s", usage_cpu_text(rows[i].usage.cpu_milli, text[0]));
        screen_table_add(&table, "%s", usage_memory_text(rows[i].usage.memory_bytes, text[1]));
    }
    screen_table_append(&table, screen, out);
    mem_free(rows);
}

static int append_all(struct invocation *in, const char *what, struct buf *out, struct err *err)
{
    CLEANUP(json) json_t *nodes = NULL;
    CLEANUP(json) json_t *pods = NULL;
    bool wants_nodes = strncmp(what, "pod", 3) != 0;
    bool wants_pods = strncmp(what, "node", 4) != 0;
    int result = 0;
    if (wants_nodes) {
        result = cluster_get(&in->cluster, "/apis/metrics.k8s.io/v1beta1/nodes", &nodes, err);
    }
    bool is_all = in->arguments->all_namespaces || *what == '\0';
    if (result == 0 && wants_pods) {
        CLEANUP(free)
        char *path =
            mem_printf("/apis/metrics.k8s.io/v1beta1/%s%s%spods", is_all ? "" : "namespaces/",
                       is_all ? "" : in->namespace, is_all ? "" : "/");
        result = cluster_get(&in->cluster, path, &pods, err);
    }
    if (result != 0) {
        return result;
    }
    if (wants_nodes) {
        append_items(&in->screen, out, nodes, "NODE", false);
    }
    buf_append_text(out, wants_nodes && wants_pods ? "\n" : "");
    if (wants_pods) {
        append_items(&in->screen, out, pods, "POD", is_all);
    }
    return 0;
}

int word_top(struct invocation *in, struct err *err)
{
    const char *what = in->arguments->plain_count == 0 ? "" : in->arguments->plain[0];
    if (in->arguments->plain_count > 1 ||
        (*what != '\0' && strncmp(what, "node", 4) != 0 && strncmp(what, "pod", 3) != 0)) {
        return err_set(err, ERR_INVALID,
                       "usage: kvctl top nodes|pods [-n NAMESPACE | -A] [--once]");
    }
    bool is_live = in->screen.width > 0 && !in->arguments->once;
    for (;;) {
        CLEANUP(buf) struct buf out = BUF_INIT;
        buf_append_text(&out, is_live ? "\033[H\033[2J" : "");
        int result = append_all(in, what, &out, err);
        if (result != 0) {
            return result;
        }
        screen_print(&out);
        if (!is_live || ferror(stdout)) {
            return 0;
        }
        const struct timespec pause = {.tv_sec = AGAIN_S};
        (void)nanosleep(&pause, NULL);
        screen_init(&in->screen); /* the window may have another size now */
    }
}
