/* names.h - invented names of containers: two words that people can say. Pure. */
#ifndef RUNTIME_WORDS_NAMES_H
#define RUNTIME_WORDS_NAMES_H

#include <stddef.h>

/* From the random digits of an id; attempt > 0 gives other names. */
void name_invent(const char *id, unsigned attempt, char *out, size_t room);

#endif
