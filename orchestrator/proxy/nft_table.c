#include "orchestrator/proxy/nft_table.h"

#include <string.h>

#include <nftables/libnftables.h>

#include "base/mem.h"

struct nft_table {
    struct nft_ctx *context;
};

int nft_table_open(struct nft_table **ret, struct err *err)
{
    struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);
    if (context == NULL || nft_ctx_buffer_output(context) != 0 ||
        nft_ctx_buffer_error(context) != 0) {
        if (context != NULL) {
            nft_ctx_free(context);
        }
        return err_set(err, ERR_IO, "start libnftables");
    }
    struct nft_table *table = mem_zalloc(sizeof(*table));
    table->context = context;
    *ret = table;
    return 0;
}

void nft_table_close(struct nft_table *table)
{
    if (table != NULL) {
        nft_ctx_free(table->context);
        mem_free(table);
    }
}

int nft_table_run(struct nft_table *table, const char *commands, struct err *err)
{
    if (nft_run_cmd_from_buffer(table->context, commands) == 0) {
        (void)nft_ctx_get_output_buffer(table->context); /* or it grows */
        return 0;
    }
    const char *why = nft_ctx_get_error_buffer(table->context);
    return err_set(err, ERR_IO, "nftables: %.*s", (int)strcspn(why, "\n"), why);
}
