coracle_unit_test(test_backend SOURCES test_backend.c LINK kv_backend)
coracle_unit_test(test_backend_lmdb SOURCES test_backend_lmdb.c LINK kv_backend)
