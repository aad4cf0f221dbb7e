/* planted.h - bugs planted on purpose, to prove that the tests find such bugs.
 *
 * PLANTED(n) is the constant false in the product. A build with -DPLANTED_BUG=n plants bug n; a
 * build with -DPLANTED_RUNTIME (library raft_core_planted, for tests only) takes the number from
 * the variable planted_bug, so that one program can try them all. The numbers are listed in
 * docs/raft.md; those of the node (kvstore/node) are 1, 11, 33 and 62 to 69, in docs/simulator.md.
 */
#ifndef RAFT_PLANTED_H
#define RAFT_PLANTED_H

#ifdef PLANTED_RUNTIME
extern int planted_bug; /* 0: none; defined by the test program */
#define PLANTED_BUG planted_bug
#endif

#ifndef PLANTED_BUG
#define PLANTED_BUG 0
#endif

#define PLANTED(n) (PLANTED_BUG == (n))

#endif
