/* leases.h - which container has which address and ports: networks/<name>.leases, JSON. */
#ifndef RUNTIME_NETWORK_LEASES_H
#define RUNTIME_NETWORK_LEASES_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/network/network.h"

struct lease {
    char owner[NETWORK_OWNER_MAX + 1];
    uint32_t address;
    struct network_port *ports; /* owned */
    size_t port_count;
    char *aliases[NETWORK_ALIASES_MAX]; /* owned */
    size_t alias_count;
};

struct leases {
    uint32_t last;       /* address that was given out last */
    struct lease *items; /* owned */
    size_t count;
};

/* <state_root>/networks, made when missing; the caller closes *ret_fd. */
MUST_USE int leases_open_directory(const char *state_root, int *ret_fd, struct err *err);
/* One lock for all networks, because ports belong to the host. Held until *ret_fd is closed. */
MUST_USE int leases_lock(int directory_fd, int *ret_fd, struct err *err);
/* A missing file is an empty list. */
MUST_USE int leases_read(int directory_fd, const char *network, struct leases *ret,
                         struct err *err);
MUST_USE int leases_write(int directory_fd, const char *network, const struct leases *leases,
                          struct err *err);
void leases_deinit(struct leases *leases);

/* A new, empty lease at the end; valid until the next change. */
struct lease *leases_add(struct leases *leases, const char *owner, uint32_t address);
struct lease *leases_find(const struct leases *leases, const char *owner);
void leases_remove(struct leases *leases, const char *owner);

static inline void cleanup_leases(struct leases *leases)
{
    leases_deinit(leases);
}

#endif
