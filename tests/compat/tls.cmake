coracle_system_test(compat_tls_options ${CMAKE_CURRENT_LIST_DIR}/test_tls_options.py)
