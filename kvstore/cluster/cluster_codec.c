/* Members and changes of them as bytes. */
#include "base/check.h"
#include "base/mem.h"
#include "base/pb.h"
#include "kvstore/cluster/cluster.h"
#include "kvstore/cluster/cluster_internal.h"

void cluster_urls_deinit(struct cluster_urls *urls)
{
    for (uint32_t i = 0; i < urls->count; i++) {
        mem_free(urls->url[i]);
    }
    urls->count = 0;
}

char *cluster_text(struct bytes bytes)
{
    char *text = mem_alloc(bytes.size + 1);
    if (bytes.data != NULL) {
        memcpy(text, bytes.data, bytes.size);
    }
    text[bytes.size] = 0;
    return text;
}

int cluster_urls_add(struct cluster_urls *urls, struct bytes url)
{
    if (urls->count == CLUSTER_URLS_MAX || url.size > CLUSTER_URL_SIZE_MAX) {
        return ERR_TOO_LARGE;
    }
    if (memchr(url.data == NULL ? (const uint8_t *)"" : url.data, 0, url.size) != NULL) {
        return ERR_MALFORMED;
    }
    urls->url[urls->count++] = cluster_text(url);
    return 0;
}

void cluster_urls_copy(struct cluster_urls *to, const struct cluster_urls *from)
{
    to->count = from->count;
    for (uint32_t i = 0; i < from->count; i++) {
        to->url[i] = mem_strdup(from->url[i]);
    }
}

void cluster_member_deinit(struct cluster_member *member)
{
    mem_free(member->name);
    cluster_urls_deinit(&member->peer_urls);
    cluster_urls_deinit(&member->client_urls);
    *member = (struct cluster_member){0};
}

struct cluster_member cluster_member_copy(const struct cluster_member *member)
{
    struct cluster_member copy = {.id = member->id, .is_learner = member->is_learner};
    copy.name = mem_strdup(member->name == NULL ? "" : member->name);
    cluster_urls_copy(&copy.peer_urls, &member->peer_urls);
    cluster_urls_copy(&copy.client_urls, &member->client_urls);
    return copy;
}

void cluster_member_encode(struct buf *out, const struct cluster_member *member)
{
    pb_put_u64(out, 1, member->id);
    pb_put_text(out, 2, member->name == NULL ? "" : member->name);
    for (uint32_t i = 0; i < member->peer_urls.count; i++) {
        pb_put_message(out, 3, bytes_from_text(member->peer_urls.url[i]));
    }
    for (uint32_t i = 0; i < member->client_urls.count; i++) {
        pb_put_message(out, 4, bytes_from_text(member->client_urls.url[i]));
    }
    pb_put_u64(out, 5, member->is_learner);
}

int cluster_member_decode(struct bytes encoded, struct cluster_member *ret_member)
{
    struct cluster_member member = {0};
    struct pb_reader reader = pb_reader_make(encoded);
    struct pb_field field;
    int code = 0;
    while (code == 0 && pb_next(&reader, &field)) {
        switch (field.key) {
        case PB_VARINT(1):
            member.id = field.value;
            break;
        case PB_BYTES(2):
            mem_free(member.name);
            member.name = cluster_text(field.bytes);
            break;
        case PB_BYTES(3):
            code = cluster_urls_add(&member.peer_urls, field.bytes);
            break;
        case PB_BYTES(4):
            code = cluster_urls_add(&member.client_urls, field.bytes);
            break;
        case PB_VARINT(5):
            member.is_learner = field.value != 0;
            break;
        default:
            break;
        }
    }
    code = code == 0 && reader.failed ? ERR_MALFORMED : code;
    if (code != 0) {
        cluster_member_deinit(&member);
        return code;
    }
    member.name = member.name == NULL ? mem_strdup("") : member.name;
    *ret_member = member;
    return 0;
}

void cluster_change_encode(struct buf *out, const struct cluster_change *change)
{
    pb_put_u64(out, 1, change->kind);
    size_t mark = pb_begin_message(out, 2);
    cluster_member_encode(out, &change->member);
    pb_end_message(out, mark);
}

int cluster_change_decode(struct bytes encoded, struct cluster_change *ret_change)
{
    uint64_t kind = CLUSTER_ADD;
    struct bytes member = {NULL, 0};
    struct pb_reader reader = pb_reader_make(encoded);
    struct pb_field field;
    while (pb_next(&reader, &field)) {
        if (field.key == PB_VARINT(1)) {
            kind = field.value;
        } else if (field.key == PB_BYTES(2)) {
            member = field.bytes;
        }
    }
    if (reader.failed || kind > CLUSTER_PROMOTE) {
        return ERR_MALFORMED;
    }
    struct cluster_change change = {.kind = (enum cluster_change_kind)kind};
    int code = cluster_member_decode(member, &change.member);
    if (code != 0) {
        return code;
    }
    *ret_change = change;
    return 0;
}

void cluster_change_deinit(struct cluster_change *change)
{
    cluster_member_deinit(&change->member);
}
