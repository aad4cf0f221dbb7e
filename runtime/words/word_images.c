/* word_images.c - images, rmi, tag, history, prune. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "runtime/image/collect.h"
#include "runtime/image/image.h"
#include "runtime/image/json.h"
#include "runtime/words/container.h"
#include "runtime/words/format.h"
#include "runtime/words/image_words.h"
#include "runtime/words/options.h"
#include "runtime/words/table.h"
#include "runtime/words/words.h"

struct images_options {
    bool is_quiet, is_untruncated, has_digests, is_all;
    const char *format;
};

struct images {
    const struct images_options *options;
    struct table table;
};

static void add_image(struct images *images, const struct image *image,
                      const struct image_name *name)
{
    struct reference reference;
    char repository[REFERENCE_NAME_MAX + 1] = "<none>";
    char tag[REFERENCE_TAG_MAX + 1] = "<none>";
    char id[REFERENCE_DIGEST_MAX + 1];
    char age[40];
    char created[48];
    char size[16];
    if (name != NULL && reference_parse(name->reference, &reference, NULL) == 0) {
        reference_format_repository(&reference, repository);
        if (reference.tag[0] != '\0') {
            (void)snprintf(tag, sizeof(tag), "%s", reference.tag);
        }
    }
    if (images->options->is_untruncated) {
        (void)snprintf(id, sizeof(id), "%s", image->id);
    } else {
        (void)snprintf(id, sizeof(id), "%.12s", digest_hex(image->id));
    }
    if (images->options->is_quiet) {
        printf("%s\n", id);
        return;
    }
    int64_t made = parse_time(image->created);
    format_age(time(NULL) - made, age);
    (void)snprintf(created, sizeof(created), made == 0 ? "N/A" : "%s ago", age);
    format_size(image->size, size);
    if (images->options->format != NULL) {
        CLEANUP(json)
        json_t *row =
            json_pack("{ss ss ss ss ss ss ss}", "Repository", repository, "Tag", tag, "ID", id,
                      "CreatedSince", created, "CreatedAt", image->created, "Size", size, "Digest",
                      name == NULL ? "" : name->repository_digest);
        format_row(images->options->format, row);
        return;
    }
    const char *digest =
        name == NULL || name->repository_digest[0] == '\0' ? "<none>" : name->repository_digest;
    if (images->options->has_digests) {
        table_add(&images->table, (const char *[]){repository, tag, digest, id, created, size});
    } else {
        table_add(&images->table, (const char *[]){repository, tag, id, created, size});
    }
}

/* operand: only this repository or name; NULL: all. */
static bool is_wanted(const struct image_name *name, const char *operand)
{
    struct reference wanted;
    struct reference here;
    if (operand == NULL) {
        return true;
    }
    if (name == NULL || reference_parse(operand, &wanted, NULL) != 0 ||
        reference_parse(name->reference, &here, NULL) != 0) {
        return false;
    }
    bool has_tag = strrchr(operand, ':') != NULL && strchr(strrchr(operand, ':'), '/') == NULL;
    return strcmp(wanted.host, here.host) == 0 && strcmp(wanted.path, here.path) == 0 &&
           (!has_tag || strcmp(wanted.tag, here.tag) == 0);
}

static int add_all(struct images *images, const struct store *store, const char *operand,
                   struct err *err)
{
    CLEANUP(image_names) struct image_names names = {.count = 0};
    char(*ids)[REFERENCE_DIGEST_MAX + 1] = NULL;
    uint32_t count = 0;
    int status = image_names_read(store, &names, err);
    if (status == 0) {
        status = image_list(store, &ids, &count, err);
    }
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        CLEANUP(image) struct image image = {.config = NULL};
        bool has_name = false;
        if (image_open(store, ids[i], &image, NULL) != 0) {
            continue; /* removed meanwhile */
        }
        for (uint32_t k = 0; k < names.count; k++) {
            if (strcmp(names.items[k].id, ids[i]) == 0) {
                has_name = true;
                if (is_wanted(&names.items[k], operand)) {
                    add_image(images, &image, &names.items[k]);
                }
            }
        }
        if (!has_name && operand == NULL) {
            add_image(images, &image, NULL);
        }
    }
    mem_free(ids);
    return status;
}

int word_images(int argc, char **argv)
{
    static const struct command command = {
        .usage = "images [OPTIONS] [REPOSITORY[:TAG]]",
        .summary = "List images.",
        .operands_max = 1,
    };
    static const char *const titles[] = {"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"};
    static const char *const digest_titles[] = {"REPOSITORY", "TAG",     "DIGEST",
                                                "IMAGE ID",   "CREATED", "SIZE"};
    struct err err = {.code = 0};
    struct images_options options = {.format = NULL};
    const struct option_spec specs[] = {
        {'a', "all", OPTION_FLAG, &options.is_all, NULL, "All of them (the default)"},
        {'q', "quiet", OPTION_FLAG, &options.is_quiet, NULL, "Only ids"},
        {0, "digests", OPTION_FLAG, &options.has_digests, NULL, "With the registry's digests"},
        {0, "no-trunc", OPTION_FLAG, &options.is_untruncated, NULL, "Do not cut"},
        {0, "format", OPTION_TEXT, &options.format, "TEMPLATE", "json, or '{{.ID}} {{.Tag}}'"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    struct images images = {.options = &options};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = store_open(&store, NULL, &err)) == 0) {
        table_init(&images.table, options.has_digests ? digest_titles : titles,
                   options.has_digests ? 6 : 5);
        status = add_all(&images, &store, operands.count > 0 ? operands.items[0] : NULL, &err);
        if (status == 0 && !options.is_quiet && options.format == NULL) {
            table_print(&images.table);
        }
        table_deinit(&images.table);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

/* ---- rmi ---- */

struct usage {
    const char *id;
    char container[CONTAINER_ID_SIZE + 1];
};

static int find_user(struct container *container, void *context)
{
    struct usage *usage = context;
    if (strcmp(json_get_text(container->document, "Image", ""), usage->id) == 0) {
        (void)snprintf(usage->container, sizeof(usage->container), "%s", container->id);
        return 1;
    }
    return 0;
}

static int untag(const struct store *store, const char *reference, struct err *err)
{
    struct reference parsed;
    char familiar[REFERENCE_TEXT_MAX + 1];
    int status = image_names_remove(store, reference, err);
    if (status == 0 && reference_parse(reference, &parsed, NULL) == 0) {
        reference_format_familiar(&parsed, familiar);
        printf("Untagged: %s\n", familiar);
    }
    return status;
}

static int remove_image(const struct store *store, const char *text, bool is_forced,
                        struct err *err)
{
    CLEANUP(image) struct image image = {.config = NULL};
    CLEANUP(image_names) struct image_names names = {.count = 0};
    struct reference reference;
    char full[REFERENCE_TEXT_MAX + 1] = "";
    int status;
    if ((status = image_find(store, text, &image, err)) != 0 ||
        (status = image_names_read(store, &names, err)) != 0) {
        return status;
    }
    if (reference_parse(text, &reference, NULL) == 0) {
        reference_format(&reference, full);
    }
    uint32_t name_count = 0;
    bool is_by_name = false;
    for (uint32_t i = 0; i < names.count; i++) {
        name_count += strcmp(names.items[i].id, image.id) == 0;
        is_by_name |= strcmp(names.items[i].reference, full) == 0;
    }
    if (is_by_name && name_count > 1) {
        return untag(store, full, err);
    }
    if (!is_by_name && name_count > 1 && !is_forced) {
        return err_set(err, ERR_BUSY,
                       "image %s has %u names; remove them one by one, or use rmi -f", text,
                       name_count);
    }
    struct usage usage = {.id = image.id, .container = ""};
    status = container_list(store, find_user, &usage, err);
    if (status < 0) {
        return status;
    }
    if (usage.container[0] != '\0' && !is_forced) {
        return err_set(err, ERR_BUSY, "image %s is used by container %.12s; remove that first",
                       text, usage.container);
    }
    for (uint32_t i = 0; i < names.count; i++) {
        if (strcmp(names.items[i].id, image.id) == 0 &&
            (status = untag(store, names.items[i].reference, err)) != 0) {
            return status;
        }
    }
    if (usage.container[0] == '\0') {
        status = image_remove_record(store, image.id, err);
        if (status == 0) {
            printf("Deleted: %s\n", image.id);
        }
    }
    return status < 0 ? status : 0;
}

static int collect(const struct store *store, struct collect_result *result, struct err *err)
{
    int status = collect_garbage(store, result, err);
    return status == ERR_BUSY ? 0 : status; /* the next rmi or prune does it */
}

int word_rmi(int argc, char **argv)
{
    static const struct command command = {
        .usage = "rmi [OPTIONS] IMAGE [IMAGE...]",
        .summary = "Remove images.",
        .operands_min = 1,
        .operands_max = 1000,
    };
    struct err err = {.code = 0};
    bool is_forced = false;
    const struct option_spec specs[] = {
        {'f', "force", OPTION_FLAG, &is_forced, NULL, "Also with several names or containers"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    struct collect_result result = {.bytes = 0};
    int code = 0;
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = store_open(&store, NULL, &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    for (size_t i = 0; i < operands.count; i++) {
        if (remove_image(&store, operands.items[i], is_forced, &err) != 0) {
            code = word_fail(&err, EXIT_FAILED);
        }
    }
    return collect(&store, &result, &err) != 0 ? word_fail(&err, EXIT_FAILED) : code;
}

int word_tag(int argc, char **argv)
{
    static const struct command command = {
        .usage = "tag IMAGE NAME[:TAG]",
        .summary = "Give an image another name.",
        .operands_min = 2,
        .operands_max = 2,
    };
    struct err err = {.code = 0};
    const struct option_spec specs[] = {{0, NULL, OPTION_FLAG, NULL, NULL, NULL}};
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(image) struct image image = {.config = NULL};
    CLEANUP(close_fd) int lock = -1;
    struct reference reference;
    char full[REFERENCE_TEXT_MAX + 1];
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status == 0 && (status = reference_parse(operands.items[1], &reference, &err)) == 0 &&
        reference.digest[0] != '\0') {
        status = err_set(&err, ERR_INVALID, "a name with a digest cannot be given to an image");
    }
    if (status == 0 && (status = store_open(&store, NULL, &err)) == 0 &&
        (status = store_lock(&store, STORE_LOCK_SHARED, &lock, &err)) == 0 &&
        (status = image_find(&store, operands.items[0], &image, &err)) == 0) {
        reference_format(&reference, full);
        status = image_names_set(&store, full, image.id, NULL, &err);
    }
    return status != 0 ? word_fail(&err, EXIT_FAILED) : 0;
}

static int print_history(const struct image *image, bool is_untruncated)
{
    static const char *const titles[] = {"IMAGE", "CREATED", "CREATED BY", "COMMENT"};
    struct table table;
    const json_t *history = json_object_get(image->config, "history");
    table_init(&table, titles, 4);
    for (size_t i = json_array_size(history); i > 0; i--) {
        const json_t *entry = json_array_get(history, i - 1);
        bool is_last = i == json_array_size(history);
        char id[16] = "<missing>";
        char age[40];
        char created[48];
        char by[46];
        if (is_last) {
            (void)snprintf(id, sizeof(id), "%.12s", digest_hex(image->id));
        }
        format_age(time(NULL) - parse_time(json_get_text(entry, "created", "")), age);
        (void)snprintf(created, sizeof(created), "%s ago", age);
        const char *text = json_get_text(entry, "created_by", "");
        (void)snprintf(by, sizeof(by), "%.45s", text);
        table_add(&table, (const char *[]){id, created, is_untruncated ? text : by,
                                           json_get_text(entry, "comment", "")});
    }
    table_print(&table);
    table_deinit(&table);
    return 0;
}

int word_history(int argc, char **argv)
{
    static const struct command command = {
        .usage = "history [OPTIONS] IMAGE",
        .summary = "Show how an image was made.",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct err err = {.code = 0};
    bool is_untruncated = false;
    const struct option_spec specs[] = {
        {0, "no-trunc", OPTION_FLAG, &is_untruncated, NULL, "Do not cut"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    CLEANUP(image) struct image image = {.config = NULL};
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = store_open(&store, NULL, &err)) != 0 ||
        (status = image_find(&store, operands.items[0], &image, &err)) != 0 ||
        (status = image_read_config(&store, &image, &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    return print_history(&image, is_untruncated);
}

/* Records without a name and without a container. */
static int remove_dangling(const struct store *store, struct err *err)
{
    CLEANUP(image_names) struct image_names names = {.count = 0};
    char(*ids)[REFERENCE_DIGEST_MAX + 1] = NULL;
    uint32_t count = 0;
    int status = image_names_read(store, &names, err);
    if (status == 0) {
        status = image_list(store, &ids, &count, err);
    }
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        bool is_used = false;
        for (uint32_t k = 0; k < names.count; k++) {
            is_used |= strcmp(names.items[k].id, ids[i]) == 0;
        }
        struct usage usage = {.id = ids[i], .container = ""};
        status = is_used ? 0 : container_list(store, find_user, &usage, err);
        if (status >= 0 && !is_used && usage.container[0] == '\0') {
            status = image_remove_record(store, ids[i], err);
            printf("Deleted: %s\n", ids[i]);
        }
        status = status > 0 ? 0 : status;
    }
    mem_free(ids);
    return status;
}

int images_prune(const struct store *store, int64_t *ret_bytes, struct err *err)
{
    struct collect_result result = {.bytes = 0};
    int status = remove_dangling(store, err);
    if (status == 0) {
        status = collect_garbage(store, &result, err);
    }
    *ret_bytes = result.bytes;
    return status;
}

int word_prune(int argc, char **argv)
{
    static const struct command command = {
        .usage = "image-prune",
        .summary = "Remove images without a name, and what no image needs.",
        .operands_max = 0,
    };
    struct err err = {.code = 0};
    bool is_forced = false;
    const struct option_spec specs[] = {
        {'f', "force", OPTION_FLAG, &is_forced, NULL, "Accepted: nothing is asked"},
        {0, NULL, OPTION_FLAG, NULL, NULL, NULL},
    };
    CLEANUP(text_list) struct text_list operands = {NULL, 0};
    CLEANUP(store) struct store store = {.root = NULL};
    int64_t bytes = 0;
    char size[16];
    int status = options_parse(&command, specs, argc, argv, &operands, &err);
    if (status != 0 || (status = store_open(&store, NULL, &err)) != 0 ||
        (status = images_prune(&store, &bytes, &err)) != 0) {
        return word_fail(&err, EXIT_FAILED);
    }
    format_size(bytes, size);
    printf("Total reclaimed space: %s\n", size);
    return 0;
}
