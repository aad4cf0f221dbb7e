add_library(kv_world STATIC kv_world.c)
target_link_libraries(kv_world PUBLIC kv_state kv_backend_memory proto_messages cmocka PRIVATE warnings)
coracle_unit_test(test_key_index SOURCES test_key_index.c LINK kv_mvcc)
coracle_unit_test(test_kv SOURCES test_kv.c LINK kv_world)
