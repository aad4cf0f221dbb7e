coracle_library(wal_script SOURCES wal_script.c LINK raft_wal cmocka)
coracle_unit_test(test_wal_format SOURCES test_wal_format.c LINK raft_wal_format)
coracle_unit_test(test_wal_replay SOURCES test_wal_replay.c LINK raft_wal_format)
coracle_unit_test(test_wal SOURCES test_wal.c LINK wal_script raft_wal LABELS threads)
# Seconds alone; much longer under sanitizers on a busy machine.
coracle_unit_test(test_wal_crash SOURCES test_wal_crash.c LINK wal_script raft_wal TIMEOUT 600)
