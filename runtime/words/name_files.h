/* name_files.h - /etc/hosts, /etc/resolv.conf and /etc/hostname of a container. */
#ifndef RUNTIME_WORDS_NAME_FILES_H
#define RUNTIME_WORDS_NAME_FILES_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/image/store.h"
#include "runtime/words/container.h"

/* resolv.conf from the host's: name servers on the host's loopback cannot be reached from another
 * network namespace and are left out, unless it is shared. Pure. */
void resolv_conf_write(struct bytes host_text, const json_t *host_config, bool shares_network,
                       struct buf *out);

/* Write the three files. Addresses come from state.json (Networks). */
MUST_USE int name_files_write(const struct store *store, const struct container *container,
                              const char *hostname, struct err *err);
/* Members of user-defined networks know each other by name: write the hosts of all members of these
 * networks (the object of state.json) again after one came or went. */
void name_files_update(const struct store *store, const json_t *networks);

#endif
