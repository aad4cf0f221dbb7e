/* agent.h - orchd agent: the node's part of the orchestrator. */
#ifndef ORCHESTRATOR_AGENT_AGENT_H
#define ORCHESTRATOR_AGENT_AGENT_H

/* The command line after "orchd"; argv[0] is "agent". Runs until SIGTERM or SIGINT; containers go
 * on. Returns the exit code. */
int agent_main(int argc, char *argv[]);

#endif
