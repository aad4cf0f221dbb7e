coracle_unit_test(test_bbolt SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_bbolt.c
    ${PROJECT_SOURCE_DIR}/tests/support/bbolt_file.c LINK etcd_files)
coracle_unit_test(test_etcd_wal SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_etcd_wal.c
    ${PROJECT_SOURCE_DIR}/tests/support/etcd_log.c LINK etcd_files)
