/* compose_words.h - the words of `kvctl compose`; see words.h for what they return. Each gets the
 * options that stood before it. */
#ifndef RUNTIME_COMPOSE_COMPOSE_WORDS_H
#define RUNTIME_COMPOSE_COMPOSE_WORDS_H

#include "runtime/compose/compose.h"

typedef int compose_word(const struct compose_options *options, int argc, char **argv);

compose_word compose_word_up, compose_word_create, compose_word_down, compose_word_start,
    compose_word_stop, compose_word_restart, compose_word_kill, compose_word_pause,
    compose_word_unpause, compose_word_rm, compose_word_scale, compose_word_wait;
compose_word compose_word_ps, compose_word_ls, compose_word_logs, compose_word_config,
    compose_word_images, compose_word_port, compose_word_top, compose_word_events,
    compose_word_version, compose_word_convert, compose_word_volumes;
compose_word compose_word_exec, compose_word_run, compose_word_cp, compose_word_build,
    compose_word_pull, compose_word_push, compose_word_stats, compose_word_attach;

#endif
