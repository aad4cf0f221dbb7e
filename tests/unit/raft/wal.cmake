coracle_library(wal_script SOURCES wal_script.c LINK raft_wal cmocka)
coracle_unit_test(test_wal SOURCES test_wal.c LINK wal_script raft_wal)
coracle_unit_test(test_wal_crash SOURCES test_wal_crash.c LINK wal_script raft_wal)
