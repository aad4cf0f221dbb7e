coracle_program(bench-storage SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/storage.c
    LINK kv_backend raft_wal)
