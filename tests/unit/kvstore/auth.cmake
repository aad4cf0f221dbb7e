coracle_unit_test(test_auth SOURCES test_auth.c LINK kv_world)
coracle_unit_test(test_jwt SOURCES test_jwt.c LINK kv_server)
