coracle_system_test(compat_auth ${CMAKE_CURRENT_LIST_DIR}/test_auth.py)
coracle_system_test(compat_auth_secrets ${CMAKE_CURRENT_LIST_DIR}/test_auth_secrets.py)
