/* migrate: from etcd to kvd. */
#include "kvstore/kvctl/command_table.h"
#include "kvstore/kvctl/migrate_command.h"
#include "kvstore/kvctl/restore_command.h"

const struct command migrate_commands[] = {
    {
        .path = "migrate offline",
        .group = "maintenance",
        .summary = "Make a member's data directory from files of etcd",
        .arguments = "<etcd data directory | database file>",
        .flags = restore_migrate_flags,
        .run = restore_command_run,
        .examples = "$ kvctl migrate offline /var/lib/etcd --data-dir /var/lib/kvd --name m1 \\\n"
                    "    --initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380 \\\n"
                    "    --initial-advertise-peer-urls http://10.0.0.1:2380",
        .more =
            "All revisions that are not compacted, leases, users and roles (passwords stay valid)\n"
            "are taken, with the entries of etcd's log that its database does not cover yet. Stop\n"
            "all members of etcd first, take the directory of the one whose log is longest, and "
            "make\n"
            "every new member from that same directory. It is only read.",
    },
    {
        .path = "migrate live",
        .group = "maintenance",
        .summary = "Copy a running etcd, and follow it until the cut-over",
        .arguments = "<endpoints of etcd>",
        .flags = migrate_live_flags,
        .run = migrate_live_run,
        .examples = "$ kvctl --endpoints 10.1.0.1:2379 migrate live 10.0.0.1:2379\n"
                    "# stop the writers of etcd, then\n"
                    "$ kvctl --endpoints 10.1.0.1:2379 migrate live --finish 10.0.0.1:2379",
        .more =
            "Keys are written in the order in which etcd changed them; each later revision of "
            "etcd\n"
            "is one transaction. Leases keep their ids and TTLs and are kept alive until the end.\n"
            "Killed, it goes on where it was. Revision numbers are the target's own, and history\n"
            "before the copy stays behind; to keep both use kvctl migrate offline.",
    },
    {.path = NULL},
};
