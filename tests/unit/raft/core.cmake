# The in-process cluster that the Raft tests, the golden scenarios and the fuzz target share.
coracle_library(raft_test_support SOURCES
    ${PROJECT_SOURCE_DIR}/tests/support/raft_chaos.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster_check.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_trace.c
    LINK raft_core)

coracle_unit_test(test_raft_cluster SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_raft_cluster.c
    LINK raft_test_support)
coracle_unit_test(test_raft_chaos SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_raft_chaos.c
    LINK raft_test_support)
