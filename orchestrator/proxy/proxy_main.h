/* proxy_main.h - "orchd proxy": keeps the rules of services and the routes to pods in the kernel of
 * this network namespace as the API server's objects say. */
#ifndef ORCHESTRATOR_PROXY_PROXY_MAIN_H
#define ORCHESTRATOR_PROXY_PROXY_MAIN_H

/* Returns the exit code of the process. */
int proxy_main(int argc, char *argv[]);

#endif
