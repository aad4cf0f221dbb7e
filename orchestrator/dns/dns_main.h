/* dns_main.h - "orchd dns": the cluster's DNS on one node. */
#ifndef ORCHESTRATOR_DNS_DNS_MAIN_H
#define ORCHESTRATOR_DNS_DNS_MAIN_H

/* Returns the exit code of the process. */
int dns_main(int argc, char *argv[]);

#endif
