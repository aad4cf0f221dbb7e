#include "orchestrator/controllers/revision.h"

#include <string.h>

#include "orchestrator/controllers/pods.h"
#include "orchestrator/objects/names.h"

#define LABEL_HASH "controller-revision-hash"

const char *revision_hash(const json_t *owner, char text[REVISION_HASH_SIZE])
{
    char name[HASH_NAME_SIZE];
    (void)name_from_hash(object_hash(tree_find(owner, "spec.template")), name);
    memcpy(text, name, sizeof(name));
    return text;
}

static bool is_revision_of(const json_t *revision, const json_t *owner)
{
    return object_is_controlled_by(revision, owner);
}

static bool has_hash(const json_t *revision, const char *hash)
{
    const char *label = object_label(revision, LABEL_HASH);
    return label != NULL && strcmp(label, hash) == 0;
}

const json_t *revision_template(const struct reconcile *in, const json_t *owner, const char *hash)
{
    struct cache_cursor c = cache_list(in->cache, "controllerrevisions", in->namespace);
    while (cache_next(&c)) {
        if (is_revision_of(c.object, owner) && has_hash(c.object, hash)) {
            return tree_find(c.object, "data.spec.template");
        }
    }
    return NULL;
}

static json_t *make_revision(const json_t *owner, const char *hash, int64_t number)
{
    CLEANUP(free) char *name = mem_printf("%s-%s", object_name(owner), hash);
    json_t *template = tree_copy(tree_find(owner, "spec.template"));
    json_object_set_new(template, "$patch", json_string("replace"));
    json_t *revision =
        json_pack("{s:{s:s, s:s, s:[o]}, s:{s:{s:o}}, s:I}", "metadata", "name", name, "namespace",
                  object_namespace(owner), "ownerReferences", owner_reference(owner), "data",
                  "spec", "template", template, "revision", (json_int_t)number);
    tree_set_copy(revision, "metadata.labels", tree_find(owner, "spec.template.metadata.labels"));
    object_set_label(revision, LABEL_HASH, hash);
    return revision;
}

static void prune(const struct object_list *revisions, int64_t limit, const char *current,
                  const json_t *live, struct actions *out)
{
    int64_t spare = 0;
    for (size_t i = 0; i < revisions->count; i++) {
        const char *hash = object_label(revisions->items[i], LABEL_HASH);
        bool is_live = hash == NULL || strcmp(hash, current) == 0 || tree_list_has_text(live, hash);
        spare += !is_live;
    }
    while (spare > limit) {
        const json_t *oldest = NULL;
        for (size_t i = 0; i < revisions->count; i++) {
            const json_t *revision = revisions->items[i];
            const char *hash = revision == NULL ? NULL : object_label(revision, LABEL_HASH);
            bool is_spare =
                hash != NULL && strcmp(hash, current) != 0 && !tree_list_has_text(live, hash);
            if (is_spare && (oldest == NULL ||
                             tree_int(revision, "revision", 0) < tree_int(oldest, "revision", 0))) {
                oldest = revision;
            }
        }
        if (oldest == NULL) {
            return;
        }
        actions_delete(out, controller_kind("controllerrevisions"), oldest, NULL);
        for (size_t i = 0; i < revisions->count; i++) {
            revisions->items[i] = revisions->items[i] == oldest ? NULL : revisions->items[i];
        }
        spare--;
    }
}

void revision_sync(const struct reconcile *in, const json_t *owner, const json_t *live,
                   struct actions *out)
{
    CLEANUP(object_list) struct object_list revisions = {0};
    char hash[REVISION_HASH_SIZE];
    (void)revision_hash(owner, hash);
    const json_t *current = NULL;
    int64_t last = 0;
    struct cache_cursor c = cache_list(in->cache, "controllerrevisions", in->namespace);
    while (cache_next(&c)) {
        if (!is_revision_of(c.object, owner)) {
            continue;
        }
        object_list_add(&revisions, c.object);
        int64_t number = tree_int(c.object, "revision", 0);
        last = number > last ? number : last;
        current = has_hash(c.object, hash) ? c.object : current;
    }
    if (current == NULL) {
        actions_create(out, controller_kind("controllerrevisions"),
                       make_revision(owner, hash, last + 1));
    } else if (tree_int(current, "revision", 0) < last) {
        actions_patch(out, controller_kind("controllerrevisions"), current,
                      json_pack("{s:I}", "revision", (json_int_t)(last + 1)));
    }
    prune(&revisions, tree_int(owner, "spec.revisionHistoryLimit", 10), hash, live, out);
}
