/* image_words.h - words about images; see words.h for what they return. */
#ifndef RUNTIME_WORDS_IMAGE_WORDS_H
#define RUNTIME_WORDS_IMAGE_WORDS_H

#include "runtime/image/store.h"

/* kvimage */
int word_load(int argc, char **argv);
int word_save(int argc, char **argv);
int word_import(int argc, char **argv);
int word_pull(int argc, char **argv);
int word_push(int argc, char **argv);
int word_build(int argc, char **argv);
int word_builder(int argc, char **argv);

/* kvctl-container */
int word_images(int argc, char **argv);
int word_rmi(int argc, char **argv);
int word_tag(int argc, char **argv);
int word_history(int argc, char **argv);
int word_prune(int argc, char **argv);
/* Remove images without a name, and what no image needs; *ret_bytes: of blobs. ERR_BUSY. */
MUST_USE int images_prune(const struct store *store, int64_t *ret_bytes, struct err *err);

#endif
