coracle_fuzz_target(fuzz_wal SOURCES fuzz_wal.c LINK raft_wal_format)
