/* pod_prepare.c - what a pod needs before its containers, and its removal. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "orchestrator/agent/pods_internal.h"
#include "orchestrator/agent/unit_request.h"
#include "orchestrator/agent/volume_disk.h"
#include "orchestrator/objects/quantity.h"
#include "orchestrator/objects/timestamp.h"
#include "orchestrator/objects/tree.h"

enum { TOKEN_SECONDS_DEFAULT = 3600, RESOLV_SIZE_MAX = 64 * 1024 };

static void plan_retry(struct pod_record *record)
{
    record->backoff_ms = record->backoff_ms == 0 ? RETRY_MS_MIN : record->backoff_ms * 2;
    if (record->backoff_ms > RETRY_MS_MAX) {
        record->backoff_ms = RETRY_MS_MAX;
    }
    record->retry_ms = pods_now_ms() + record->backoff_ms;
}

/* ---- tokens of service accounts ---- */

struct token_job {
    struct job *job;
    char *key;
};

static void on_token(void *context, int code, const json_t *body)
{
    struct token_job *token = context;
    struct work *work = token->job->work;
    const char *text = tree_text(body, "status.token");
    work->is_token_asked = false;
    if (code == 201 && text != NULL && !work->is_dropped) {
        int64_t now_ms = pods_now_ms();
        int64_t end_ms = timestamp_at(body, "status.expirationTimestamp",
                                      now_ms + TOKEN_SECONDS_DEFAULT * 1000LL);
        /* Renewed after four fifths of its life, as kubelet does. */
        json_object_set_new(work->tokens, token->key,
                            json_pack("{s:s, s:I}", "token", text, "due",
                                      (json_int_t)(now_ms + (end_ms - now_ms) / 5 * 4)));
        work->wants_refresh = true;
        work->record->retry_ms = 0;
    }
    mem_free(token->key);
    (void)job_end(token->job);
    mem_free(token);
}

static void ask_token(struct work *work, const json_t *source, const char *key)
{
    const json_t *pod = work->record->pod;
    const char *audience = tree_text_or(source, "audience", "");
    if (work->is_token_asked) {
        return;
    }
    CLEANUP(json)
    json_t *body = json_pack(
        "{s:s, s:s, s:{s:I, s:{s:s, s:s, s:s, s:s}}}", "apiVersion", "authentication.k8s.io/v1",
        "kind", "TokenRequest", "spec", "expirationSeconds",
        (json_int_t)tree_int(source, "expirationSeconds", TOKEN_SECONDS_DEFAULT), "boundObjectRef",
        "kind", "Pod", "apiVersion", "v1", "name", object_name(pod), "uid", work->record->uid);
    if (*audience != '\0') {
        tree_set(body, "spec.audiences", json_pack("[s]", audience));
    }
    CLEANUP(free)
    char *path = mem_printf("/api/v1/namespaces/%s/serviceaccounts/%s/token", object_namespace(pod),
                            tree_text_or(pod, "spec.serviceAccountName", "default"));
    const struct api_request request = {.method = "POST", .path = path, .body = body};
    struct token_job *token = mem_zalloc(sizeof(*token));
    token->job = job_new(work, NULL);
    token->key = mem_strdup(key);
    work->is_token_asked = true;
    api_call(work->pods->options.api, &request, on_token, token);
}

static const char *token_of(void *context, const json_t *source)
{
    struct work *work = context;
    CLEANUP(free)
    char *key = mem_printf("%s %lld", tree_text_or(source, "audience", ""),
                           (long long)tree_int(source, "expirationSeconds", TOKEN_SECONDS_DEFAULT));
    const json_t *known = json_object_get(work->tokens, key);
    if (known == NULL || tree_int(known, "due", 0) <= pods_now_ms()) {
        ask_token(work, source, key);
    }
    return tree_text(known, "token");
}

/* ---- volumes ---- */

static int64_t group_of(const struct pod_record *record)
{
    return tree_int(record->pod, "spec.securityContext.fsGroup", -1);
}

/* The directory behind a claim: a hostPath or local volume. */
static int claim_path(struct work *work, const char *claim_name, json_t *paths, char **ret,
                      struct err *err)
{
    struct pods *pods = work->pods;
    const char *namespace = object_namespace(work->record->pod);
    const json_t *claim =
        objects_find(pods->objects, "persistentvolumeclaims", namespace, claim_name);
    if (claim == NULL) {
        return err_set(err, ERR_BUSY, "the claim is being read");
    }
    const char *name = tree_text_or(claim, "spec.volumeName", "");
    if (json_is_null(claim) || *name == '\0' || !tree_has_text(claim, "status.phase", "Bound")) {
        return err_set(err, ERR_NOT_FOUND, "persistentvolumeclaim \"%s\" %s", claim_name,
                       json_is_null(claim) ? "not found" : "is not bound");
    }
    const json_t *volume = objects_find(pods->objects, "persistentvolumes", "", name);
    if (volume == NULL) {
        return err_set(err, ERR_BUSY, "the volume is being read");
    }
    json_object_set_new(tree_make_object(paths, "..volumes"), name, json_true());
    const char *local = tree_text(volume, "spec.local.path");
    const char *host = tree_text(volume, "spec.hostPath.path");
    if (local == NULL && host == NULL) {
        return err_set(err, ERR_INVALID,
                       "persistentvolume \"%s\" is neither a hostPath nor a local volume", name);
    }
    *ret = mem_strdup(local != NULL ? local : host);
    return disk_host_path(
        *ret, host != NULL ? tree_text_or(volume, "spec.hostPath.type", "") : "Directory", err);
}

static int make_empty(const struct work *work, const json_t *volume, const char *path,
                      struct err *err)
{
    const json_t *body = json_object_get(volume, "emptyDir");
    int64_t size = quantity_to_units(quantity_in(body, "sizeLimit"));
    return disk_empty(path, tree_has_text(body, "medium", "Memory"), size, group_of(work->record),
                      err);
}

static int make_volume(struct work *work, const json_t *volume, json_t *paths, struct err *err)
{
    const char *name = tree_text_or(volume, "name", "");
    const char *host = tree_text(volume, "hostPath.path");
    const char *claim = tree_text(volume, "persistentVolumeClaim.claimName");
    CLEANUP(free) char *directory = pods_directory(work->pods, work->record);
    CLEANUP(free) char *own = mem_printf("%s/volumes/%s", directory, name);
    CLEANUP(free) char *path = NULL;
    CLEANUP(free) char *made = NULL;
    int status = 0;
    if (json_object_get(volume, "ephemeral") != NULL) {
        made = mem_printf("%s-%s", object_name(work->record->pod), name);
        claim = made;
    }
    if (volume_has_files(volume)) {
        CLEANUP(volume_files) struct volume_files files = {.items = NULL};
        const struct pod_surroundings around = pods_surroundings(work->pods);
        status = volume_files_make(work->record, volume, &around, token_of, work, &files, err);
        status = status != 0 ? status : disk_publish(own, &files, group_of(work->record), err);
    } else if (host != NULL) {
        status = disk_host_path(host, tree_text_or(volume, "hostPath.type", ""), err);
    } else if (claim != NULL) {
        status = claim_path(work, claim, paths, &path, err);
    } else if (json_object_get(volume, "emptyDir") != NULL) {
        status = make_empty(work, volume, own, err);
    } else {
        status = err_set(err, ERR_UNSUPPORTED, "this node cannot mount this kind of volume");
    }
    if (status == 0) {
        json_object_set_new(paths, name,
                            json_string(path != NULL   ? path
                                        : host != NULL ? host
                                                       : own));
    }
    return status == 0 ? 0 : err_prefix(err, "MountVolume.SetUp failed for volume \"%s\"", name);
}

/* ---- /etc ---- */

static int write_hosts(const struct work *work, const char *directory, struct err *err)
{
    const struct pod_record *record = work->record;
    const json_t *aliases = tree_find(record->pod, "spec.hostAliases");
    const char *subdomain = tree_text_or(record->pod, "spec.subdomain", "");
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(free) char *path = mem_printf("%s/etc/hosts", directory);
    buf_append_text(&text, "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"
                           "::1\tlocalhost ip6-localhost ip6-loopback\n"
                           "fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\n"
                           "fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
    if (record->address[0] != '\0' && *subdomain != '\0') {
        buf_append_format(&text, "%s\t%s.%s.%s.svc.%s\t%s\n", record->address, pod_hostname(record),
                          subdomain, object_namespace(record->pod),
                          work->pods->options.cluster_domain, pod_hostname(record));
    } else if (record->address[0] != '\0') {
        buf_append_format(&text, "%s\t%s\n", record->address, pod_hostname(record));
    }
    for (size_t i = 0; i < json_array_size(aliases); i++) {
        const json_t *alias = json_array_get(aliases, i);
        const json_t *names = json_object_get(alias, "hostnames");
        buf_append_text(&text, tree_text_or(alias, "ip", ""));
        for (size_t k = 0; k < json_array_size(names); k++) {
            buf_append_format(&text, "\t%s", json_string_value(json_array_get(names, k)));
        }
        buf_append_text(&text, "\n");
    }
    return disk_write(path, buf_bytes(&text), 0644, err);
}

static void append_resolvers(const struct work *work, struct buf *text)
{
    const json_t *pod = work->record->pod;
    const char *policy = tree_text_or(pod, "spec.dnsPolicy", "ClusterFirst");
    const char *dns = work->pods->options.cluster_dns;
    const char *domain = work->pods->options.cluster_domain;
    bool is_cluster = strcmp(policy, "ClusterFirstWithHostNet") == 0 ||
                      (strcmp(policy, "ClusterFirst") == 0 && !pod_is_host_network(work->record));
    if (strcmp(policy, "None") == 0) {
        return;
    }
    if (is_cluster && *dns != '\0') {
        buf_append_format(text, "nameserver %s\nsearch %s.svc.%s svc.%s %s\noptions ndots:5\n", dns,
                          object_namespace(pod), domain, domain, domain);
    } else if (disk_read("/etc/resolv.conf", RESOLV_SIZE_MAX, text, NULL) != 0) {
        buf_clear(text); /* this node has no resolvers, so the pod has none */
    }
}

static int write_resolvers(const struct work *work, const char *directory, struct err *err)
{
    const json_t *config = tree_find(work->record->pod, "spec.dnsConfig");
    const json_t *servers = json_object_get(config, "nameservers");
    const json_t *searches = json_object_get(config, "searches");
    const json_t *options = json_object_get(config, "options");
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(free) char *path = mem_printf("%s/etc/resolv.conf", directory);
    append_resolvers(work, &text);
    for (size_t i = 0; i < json_array_size(servers); i++) {
        buf_append_format(&text, "nameserver %s\n", json_string_value(json_array_get(servers, i)));
    }
    for (size_t i = 0; i < json_array_size(searches); i++) {
        buf_append_format(&text, "%s%s", i == 0 ? "search " : " ",
                          json_string_value(json_array_get(searches, i)));
    }
    buf_append_text(&text, json_array_size(searches) > 0 ? "\n" : "");
    for (size_t i = 0; i < json_array_size(options); i++) {
        const json_t *option = json_array_get(options, i);
        const char *value = tree_text(option, "value");
        buf_append_format(&text, "options %s%s%s\n", tree_text_or(option, "name", ""),
                          value == NULL ? "" : ":", value == NULL ? "" : value);
    }
    return disk_write(path, buf_bytes(&text), 0644, err);
}

static int write_etc(const struct work *work, struct err *err)
{
    CLEANUP(free) char *directory = pods_directory(work->pods, work->record);
    CLEANUP(free) char *etc = mem_printf("%s/etc", directory);
    CLEANUP(free) char *hostname = mem_printf("%s/hostname", etc);
    CLEANUP(free) char *line = mem_printf("%s\n", pod_hostname(work->record));
    int status;
    if ((status = disk_make_directory(etc, 0755, err)) != 0 ||
        (status = disk_write(hostname, bytes_from_text(line), 0644, err)) != 0 ||
        (status = write_hosts(work, directory, err)) != 0) {
        return status;
    }
    return write_resolvers(work, directory, err);
}

static int save_pod(const struct work *work, struct err *err)
{
    CLEANUP(free) char *directory = pods_directory(work->pods, work->record);
    CLEANUP(free) char *path = mem_printf("%s/pod.json", directory);
    int status = disk_make_directory(directory, 0750, err);
    return status != 0 ? status : disk_write_json(path, work->record->pod, err);
}

void work_make_volumes(struct work *work)
{
    struct pod_record *record = work->record;
    const json_t *volumes = tree_find(record->pod, "spec.volumes");
    CLEANUP(json) json_t *paths = json_object();
    struct err err = {.code = 0};
    int status = save_pod(work, &err);
    for (size_t i = 0; i < json_array_size(volumes) && status == 0; i++) {
        status = make_volume(work, json_array_get(volumes, i), paths, &err);
    }
    if (status == ERR_BUSY) {
        record->retry_ms = pods_now_ms() + RETRY_MS_MAX; /* an object's arrival comes first */
        return;
    }
    if (status != 0) {
        if (record->volumes_message == NULL || strcmp(record->volumes_message, err.text) != 0) {
            pods_note(work->pods, record, NULL, "Warning", "FailedMount", "%s", err.text);
        }
        unit_set_text(&record->volumes_message, err.text);
        plan_retry(record);
        work_wake(work);
        return;
    }
    json_decref(record->volume_paths);
    record->volume_paths = TAKE_PTR(paths);
    record->are_volumes_ready = true;
    record->backoff_ms = 0;
    record->retry_ms = 0;
    work->refresh_ms = pods_now_ms() + REFRESH_MS;
    unit_set_text(&record->volumes_message, NULL);
    work_wake(work);
}

void work_refresh_volumes(struct work *work)
{
    const struct pod_record *record = work->record;
    const json_t *volumes = tree_find(record->pod, "spec.volumes");
    bool has_files = false;
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        has_files |= volume_has_files(json_array_get(volumes, i));
    }
    if (!has_files) {
        return;
    }
    if (work->wants_refresh || pods_now_ms() >= work->refresh_ms) {
        work->wants_refresh = false;
        work->refresh_ms = pods_now_ms() + REFRESH_MS;
        for (size_t i = 0; i < json_array_size(volumes); i++) {
            struct err ignored; /* the old files stay until it can be done */
            CLEANUP(json) json_t *paths = json_object();
            if (volume_has_files(json_array_get(volumes, i))) {
                err_ignore(make_volume(work, json_array_get(volumes, i), paths, &ignored));
            }
        }
    }
    work_wake_at(work, work->refresh_ms);
}

/* ---- sandbox ---- */

static void on_sandbox(void *context, const json_t *answer, const char *reason, const char *message)
{
    struct job *job = context;
    struct work *work = job->work;
    struct pod_record *record = work->record;
    struct err err = {.code = 0};
    (void)reason;
    record->sandbox = SANDBOX_NONE;
    if (answer == NULL) {
        pods_note(work->pods, record, NULL, "Warning", "FailedCreatePodSandBox",
                  "Failed to create pod sandbox: %s", message);
        unit_set_text(&record->sandbox_message, message);
        plan_retry(record);
        (void)job_end(job);
        return;
    }
    (void)snprintf(record->address, sizeof(record->address), "%s",
                   tree_text_or(answer, "address", ""));
    CLEANUP(free) char *directory = pods_directory(work->pods, record);
    CLEANUP(free) char *path = mem_printf("%s/sandbox.json", directory);
    if (disk_write_json(path, answer, &err) != 0 || write_etc(work, &err) != 0) {
        unit_set_text(&record->sandbox_message, err.text);
        log_warn("cannot write the files of a pod", LOG_TEXT("reason", err.text));
        plan_retry(record);
    } else {
        record->sandbox = SANDBOX_READY;
        record->backoff_ms = 0;
        record->retry_ms = 0;
    }
    (void)job_end(job);
}

void work_make_sandbox(struct work *work)
{
    struct pod_record *record = work->record;
    bool is_host = pod_is_host_network(record);
    if (!is_host && !work->pods->is_network_ready) {
        return; /* pods_set_network_ready wakes */
    }
    CLEANUP(free) char *directory = pods_directory(work->pods, record);
    json_t *request = json_pack("{s:s, s:s, s:s, s:b}", "state", work->pods->options.data_dir,
                                "directory", directory, "id", record->uid, "host", is_host);
    const json_t *sysctls = tree_find(record->pod, "spec.securityContext.sysctls");
    for (size_t i = 0; i < json_array_size(sysctls); i++) {
        const json_t *one = json_array_get(sysctls, i);
        json_object_set_new(tree_make_object(request, "sysctls"), tree_text_or(one, "name", ""),
                            json_string(tree_text_or(one, "value", "")));
    }
    record->sandbox = SANDBOX_MAKING;
    programs_pod(work->pods->options.programs, "sandbox-create", request, on_sandbox,
                 job_new(work, NULL));
}

/* ---- removal ---- */

struct cleaning {
    struct job *job;
    bool removes_files;
};

static void on_cleaned(void *context, const json_t *answer, const char *reason, const char *message)
{
    struct cleaning *cleaning = context;
    struct work *work = cleaning->job->work;
    struct pod_record *record = work->record;
    record->sandbox = SANDBOX_NONE;
    if (answer != NULL) {
        record->is_cleaned = true;
        record->is_removed |= cleaning->removes_files;
    } else {
        pods_note(work->pods, record, NULL, "Warning", reason, "%s", message);
        plan_retry(record);
    }
    (void)job_end(cleaning->job);
    mem_free(cleaning);
}

void work_clean(struct work *work, bool removes_files)
{
    struct pod_record *record = work->record;
    const struct pods_options *options = &work->pods->options;
    CLEANUP(free) char *directory = pods_directory(work->pods, record);
    CLEANUP(free) char *cgroup = pod_cgroup(record, options->cgroup_parent);
    struct cleaning *cleaning = mem_zalloc(sizeof(*cleaning));
    cleaning->job = job_new(work, NULL);
    cleaning->removes_files = removes_files;
    record->sandbox = SANDBOX_REMOVING;
    programs_pod(options->programs, "sandbox-remove",
                 json_pack("{s:s, s:s, s:s, s:b, s:[s]}", "state", options->data_dir, "directory",
                           directory, "id", record->uid, "keeps", !removes_files, "cgroups",
                           cgroup),
                 on_cleaned, cleaning);
}
