/* container_words.h - words about containers; see words.h for what they return. */
#ifndef RUNTIME_WORDS_CONTAINER_WORDS_H
#define RUNTIME_WORDS_CONTAINER_WORDS_H

#include "runtime/image/store.h"

int word_run(int argc, char **argv);
int word_create(int argc, char **argv);
int word_start(int argc, char **argv);
int word_attach(int argc, char **argv);
int word_exec(int argc, char **argv);
int word_stop(int argc, char **argv);
int word_restart(int argc, char **argv);
int word_kill(int argc, char **argv);
int word_pause(int argc, char **argv);
int word_unpause(int argc, char **argv);
int word_wait(int argc, char **argv);
int word_rm(int argc, char **argv);
int word_ps(int argc, char **argv);
int word_logs(int argc, char **argv);
int word_inspect(int argc, char **argv);
int word_stats(int argc, char **argv);
int word_top(int argc, char **argv);
int word_port(int argc, char **argv);
int word_cp(int argc, char **argv);
int word_network(int argc, char **argv);
int word_volume(int argc, char **argv);
int word_rename(int argc, char **argv);
int word_update(int argc, char **argv);
int word_events(int argc, char **argv);
int word_system(int argc, char **argv);
/* Remove volumes that no container uses, print their names. */
MUST_USE int volumes_prune(const struct store *store, struct err *err);
/* Remove networks without members, print their names; the default one stays. */
MUST_USE int networks_prune(const struct store *store, struct err *err);

#endif
