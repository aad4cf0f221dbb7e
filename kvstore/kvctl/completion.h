/* completion.h - shell completion: scripts that ask `kvctl __complete WORDS...` for candidates. */
#ifndef KVSTORE_KVCTL_COMPLETION_H
#define KVSTORE_KVCTL_COMPLETION_H

#include "base/buf.h"
#include "base/err.h"

/* The script for "bash", "zsh" or "fish". ERR_INVALID: another shell. */
MUST_USE int completion_append_script(struct buf *out, const char *shell);
/* One candidate a line for the last of words (which may be ""); pure. */
void completion_append_candidates(struct buf *out, const char *const *words, int count);

#endif
