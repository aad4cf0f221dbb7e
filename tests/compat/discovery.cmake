coracle_system_test(compat_discovery ${CMAKE_CURRENT_LIST_DIR}/test_discovery.py)
coracle_system_test(compat_discovery_srv ${CMAKE_CURRENT_LIST_DIR}/test_discovery.py srv)
set_tests_properties(compat_discovery_srv PROPERTIES LABELS root)
