# The in-process cluster that the Raft tests, the golden scenarios and the fuzz target share.
set(RAFT_SUPPORT_SOURCES
    ${PROJECT_SOURCE_DIR}/tests/support/raft_chaos.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster_check.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster_disk.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_cluster_run.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_scenario.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_solo.c
    ${PROJECT_SOURCE_DIR}/tests/support/raft_trace.c)
coracle_library(raft_test_support SOURCES ${RAFT_SUPPORT_SOURCES} LINK raft_core)
coracle_library(raft_test_support_planted SOURCES ${RAFT_SUPPORT_SOURCES} LINK raft_core_planted)

foreach(source
        test_paper_figure2.c test_paper_figure3.c test_raft_append.c test_raft_batches.c
        test_raft_change.c test_raft_chaos.c test_raft_cluster.c test_raft_election.c
        test_raft_log.c test_raft_members.c test_raft_message_codec.c test_raft_progress.c
        test_raft_quorum.c test_raft_read.c test_raft_ready.c test_raft_restore.c)
    get_filename_component(name ${source} NAME_WE)
    coracle_unit_test(${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/${source} LINK raft_test_support)
endforeach()
coracle_unit_test(test_raft_planted SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/test_raft_planted.c
    LINK raft_test_support_planted LABELS slow TIMEOUT 900)
