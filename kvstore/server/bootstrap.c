#include "kvstore/server/bootstrap.h"

#include <string.h>

#include "base/check.h"
#include "kvstore/cluster/cluster_id.h"

static uint64_t initial_id(const struct config_urls *urls, const char *token)
{
    const char *texts[CONFIG_URLS_MAX];
    for (unsigned i = 0; i < urls->count; i++) {
        texts[i] = urls->url[i].text;
    }
    return cluster_member_id(texts, urls->count, token, /* unix_seconds= */ 0);
}

static bool has_url(const struct config_urls *urls, const char *text)
{
    for (unsigned i = 0; i < urls->count; i++) {
        if (strcmp(urls->url[i].text, text) == 0) {
            return true;
        }
    }
    return false;
}

/* What peers are told must be what the cluster was told, or they could not reach us. */
static int check_own_urls(const struct config *config, const struct bootstrap_member *self,
                          struct err *err)
{
    const struct config_urls *advertised = &config->initial_advertise_peer_urls;
    for (unsigned i = 0; i < advertised->count; i++) {
        if (!has_url(&self->peer_urls, advertised->url[i].text)) {
            return err_set(err, ERR_INVALID,
                           "--initial-cluster has %s=%s but missing from "
                           "--initial-advertise-peer-urls=%s",
                           config->name, self->peer_urls.url[0].text,
                           config->initial_advertise_peer_urls_text);
        }
    }
    return 0;
}

int bootstrap_new_cluster(const struct config *config, struct bootstrap *ret, struct err *err)
{
    struct bootstrap bootstrap = {.member_count = config->member_count};
    uint64_t ids[CONFIG_MEMBERS_MAX];
    const struct bootstrap_member *self = NULL;
    for (unsigned i = 0; i < config->member_count; i++) {
        struct bootstrap_member *member = &bootstrap.members[i];
        member->name = config->members[i].name;
        member->peer_urls = config->members[i].peer_urls;
        member->id = initial_id(&member->peer_urls, config->initial_cluster_token);
        ids[i] = member->id;
        for (unsigned j = 0; j < i; j++) {
            if (ids[j] == ids[i]) {
                return err_set(err, ERR_INVALID, "--initial-cluster gives %s and %s the same URLs",
                               config->members[j].name, config->members[i].name);
            }
        }
        if (strcmp(member->name, config->name) == 0) {
            self = member;
        }
    }
    CHECK(self != NULL); /* config_check found it */
    bootstrap.member_id = self->id;
    bootstrap.cluster_id = cluster_id_from_members(ids, bootstrap.member_count);
    int code = check_own_urls(config, self, err);
    if (code == 0) {
        *ret = bootstrap;
    }
    return code;
}
