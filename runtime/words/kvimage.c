/* kvimage - the words for images that need archives, hashes or the net: load save import pull push
 * build.
 *
 * A program of its own, so that `kvctl run` and `kvctl ps` do not pay for the libraries
 * (libcurl alone costs 7 ms at every start). */
#include <sys/stat.h>

#include "runtime/words/image_words.h"
#include "runtime/words/words.h"

static const struct word words[] = {
    {"load", word_load}, {"save", word_save},   {"import", word_import},   {"pull", word_pull},
    {"push", word_push}, {"build", word_build}, {"builder", word_builder}, {NULL, NULL},
};

int main(int argc, char **argv)
{
    (void)umask(022); /* modes of unpacked files are set explicitly */
    return words_main(words, "kvimage", argc, argv);
}
