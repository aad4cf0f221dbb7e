/* raft_scenario.h - a story about a Raft cluster: commands, and the trace they must give.
 *
 *   # comment
 *   cluster 3              voters 1..3 (`cluster 2 1`: and learner 3); comes first
 *   join 4                 an empty server that waits to be contacted
 *   elect 1                tick 1 and deliver until it leads
 *   limit 1                before cluster: bytes of entries in a message (1: one entry each)
 *   tick 1                 let its deadline pass
 *   beat 1 5               five times: tick 1, then deliver
 *   wait 50                let time pass, without a tick for anybody
 *   deliver                disks finish and messages arrive until all is quiet
 *   deliver 1 2            the oldest message from 1 to 2 arrives
 *   drop 1 2               what is under way from 1 to 2 is lost
 *   cut 1 2, hold 1 2, open 1 2     one direction of a link: lose, keep back, deliver again
 *   isolate 1, partition 1 2 | 3, heal
 *   propose 1 text, read 1, transfer 1 2, change 1 1 2 3L, unreachable 1 2, compact 1 7
 *   disk 1 hold, disk 1 open, disk 1 finish
 *   crash 1, restart 1
 *   status                 a line for each running server
 *   quiet                  forget the trace so far
 *   expect                 the lines after it, indented, are the trace since the last one
 */
#ifndef TESTS_SUPPORT_RAFT_SCENARIO_H
#define TESTS_SUPPORT_RAFT_SCENARIO_H

#include "base/buf.h"
#include "base/err.h"

/* Run the story and append it with the trace that it really gave: equal to the input if all is
 * well. ERR_MALFORMED for a command that does not exist. */
MUST_USE int raft_scenario_run(const char *text, struct buf *out, struct err *err);

#endif
