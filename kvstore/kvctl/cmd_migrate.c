/* migrate: from etcd to kvd. */
#include "kvstore/kvctl/command_table.h"
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
    {.path = NULL},
};
