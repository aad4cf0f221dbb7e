/* build_export.c - --output: the files of the result as an archive or a directory. */
#include <fcntl.h>

#include "runtime/build/build.h"
#include "runtime/words/copy_tree.h"

int build_export(struct build *build, struct build_stage *target, struct err *err)
{
    struct build_workspace workspace = {.directory = NULL};
    int64_t size = 0;
    int status = build_workspace_open(build, target, &workspace, err);
    if (status == 0 && build->options->output_kind[0] == 't') {
        status = build_write_layer(workspace.root_fd, build->options->output_fd, &size, err);
    } else if (status == 0) {
        const struct copy_options options = {.has_owner = false};
        status = copy_directory(workspace.root_fd, build->options->output_fd, &options, err);
    }
    build_workspace_close(&workspace);
    return status;
}
