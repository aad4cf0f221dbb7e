/* caps.h - capability names and masks (capabilities(7)). Pure. */
#ifndef RUNTIME_CONTAINER_CAPS_H
#define RUNTIME_CONTAINER_CAPS_H

#include <stdbool.h>
#include <stdint.h>

enum { CAPS_COUNT = 41 }; /* CAP_CHOWN .. CAP_CHECKPOINT_RESTORE */

/* "CAP_CHOWN", "chown", "Cap_Chown" -> 0; -1 when it is none. */
int caps_number(const char *name);
/* "CAP_CHOWN"; NULL above the last. */
const char *caps_name(unsigned number);

#endif
