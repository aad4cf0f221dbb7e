/* revision.h - the version of the whole store: one main revision per transaction that changed
 * anything, and a sub revision for each change in it. */
#ifndef KVSTORE_MVCC_REVISION_H
#define KVSTORE_MVCC_REVISION_H

#include <stdbool.h>
#include <stdint.h>

struct revision {
    int64_t main; /* 1 is the empty store; the first change makes 2 */
    uint32_t sub; /* 0 for the first change of a transaction */
};

static inline int revision_compare(struct revision a, struct revision b)
{
    if (a.main != b.main) {
        return a.main < b.main ? -1 : 1;
    }
    return (a.sub > b.sub) - (a.sub < b.sub);
}

#endif
