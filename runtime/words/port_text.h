/* port_text.h - the texts of -p: [[IP:]HOST[-LAST]:]CONTAINER[-LAST][/PROTOCOL]. Pure. */
#ifndef RUNTIME_WORDS_PORT_TEXT_H
#define RUNTIME_WORDS_PORT_TEXT_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "runtime/network/network.h"

/* Adds to bindings: {"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}; HostPort "" asks for a
 * free one. */
MUST_USE int port_text_parse(const char *text, json_t *bindings, struct err *err);

/* Bindings as the network takes them; at most NETWORK_PORTS_MAX. The caller frees *ret. */
MUST_USE int port_bindings_read(const json_t *bindings, struct network_port **ret,
                                size_t *ret_count, struct err *err);
/* The other way round, after free ports have been chosen. */
json_t *port_bindings_write(const struct network_port *ports, size_t count);

#endif
