coracle_unit_test(test_backend SOURCES test_backend.c LINK kv_backend)
coracle_unit_test(test_backend_memory SOURCES test_backend_memory.c LINK kv_backend_memory)
coracle_unit_test(test_backend_lmdb SOURCES test_backend_lmdb.c store_fixture.c LINK kv_backend)
coracle_unit_test(test_backend_thread SOURCES test_backend_thread.c store_fixture.c LINK kv_backend
    LABELS threads)
coracle_unit_test(test_backend_damage SOURCES test_backend_damage.c LINK kv_backend TIMEOUT 600)
coracle_unit_test(test_backend_failure SOURCES test_backend_failure.c LINK kv_backend)
include(${PROJECT_SOURCE_DIR}/tests/bench/storage.cmake)
