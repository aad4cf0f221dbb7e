/* quantity.h - amounts of resources: "100m", "1.5Gi", "2e3" (apimachinery resource.Quantity).
 *
 * Held exactly, in billionths, in 128 bits: 1n is 1; 1 is 10^9; 1Ei is 2^60 * 10^9. What is smaller
 * than a billionth is rounded up, as Kubernetes does. */
#ifndef ORCHESTRATOR_OBJECTS_QUANTITY_H
#define ORCHESTRATOR_OBJECTS_QUANTITY_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

typedef __int128 quantity;

#define QUANTITY_ONE ((quantity)1000000000)

enum { QUANTITY_TEXT_SIZE = 64 };
enum quantity_format { QUANTITY_DECIMAL, QUANTITY_BINARY, QUANTITY_EXPONENT };

/* ERR_MALFORMED, or ERR_TOO_LARGE beyond +-2^63 units. ret_format may be NULL. */
MUST_USE int quantity_parse(const char *text, quantity *ret, enum quantity_format *ret_format);
/* JSON text or number; ERR_MALFORMED for anything else. */
MUST_USE int quantity_from_json(const json_t *value, quantity *ret);
/* As Kubernetes writes it: without fraction, with the largest suffix that keeps it exact. */
const char *quantity_print(quantity value, enum quantity_format format,
                           char text[QUANTITY_TEXT_SIZE]);
/* Rounded up. */
int64_t quantity_to_units(quantity value);
int64_t quantity_to_milli(quantity value);
quantity quantity_from_units(int64_t units);
quantity quantity_from_milli(int64_t milli);
/* A value of a map such as resources.requests; 0 when absent or malformed. */
quantity quantity_in(const json_t *map, const char *key);

#endif
