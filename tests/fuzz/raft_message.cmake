coracle_fuzz_target(fuzz_raft_message SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/fuzz_raft_message.c
    LINK raft_core)
