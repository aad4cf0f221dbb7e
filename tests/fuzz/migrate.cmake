coracle_fuzz_target(fuzz_bbolt SOURCES fuzz_bbolt.c LINK etcd_files)
coracle_fuzz_target(fuzz_etcd_wal SOURCES fuzz_etcd_wal.c ${PROJECT_SOURCE_DIR}/tests/support/etcd_log.c
    LINK etcd_files)
