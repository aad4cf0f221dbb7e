coracle_unit_test(test_backend SOURCES test_backend.c LINK kv_backend)
