# The in-process cluster that the Raft tests, the golden scenarios and the fuzz target share.
set(RAFT_SUPPORT_SOURCES
    ${PROJECT_SOURCE_DIR}/tests/support/raft_chaos.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster_check.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster_disk.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster_run.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_scenario.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_trace.c)
coracle_library(raft_test_support SOURCES ${RAFT_SUPPORT_SOURCES} LINK raft_core)
coracle_library(raft_test_support_planted SOURCES ${RAFT_SUPPORT_SOURCES} LINK raft_core_planted)

foreach(test test_raft_cluster test_raft_chaos)
    coracle_unit_test(${test} SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/${test}.c LINK raft_test_support)
endforeach()
coracle_unit_test(test_raft_planted SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_raft_planted.c
    LINK raft_test_support_planted LABELS slow TIMEOUT 900)
