coracle_system_test(compat_auth ${CMAKE_CURRENT_LIST_DIR}/test_auth.py)
