coracle_unit_test(test_auth SOURCES test_auth.c LINK kv_world)
