/* nft_table.h - one transaction of nftables, through libnftables. */
#ifndef ORCHESTRATOR_PROXY_NFT_TABLE_H
#define ORCHESTRATOR_PROXY_NFT_TABLE_H

#include "base/err.h"

struct nft_table;

int nft_table_open(struct nft_table **ret, struct err *err);
void nft_table_close(struct nft_table *table); /* NULL is fine; the rules stay */
/* All commands or none; err has the kernel's first complaint. */
MUST_USE int nft_table_run(struct nft_table *table, const char *commands, struct err *err);

#endif
