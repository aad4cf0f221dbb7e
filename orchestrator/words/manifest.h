/* manifest.h - the objects in files, folders and standard input. */
#ifndef ORCHESTRATOR_WORDS_MANIFEST_H
#define ORCHESTRATOR_WORDS_MANIFEST_H

#include <jansson.h>

#include "base/err.h"

enum { MANIFEST_SIZE_MAX = 64 * 1024 * 1024 };

/* Appends to objects (a list) in the order of the file; "-" is standard input, of a folder every
 * .yaml, .yml and .json in the order of names. Lists are taken apart. err names the file. */
MUST_USE int manifest_read(const char *path, json_t *objects, struct err *err);

#endif
