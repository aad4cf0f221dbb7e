coracle_system_test(compat_etcdctl ${CMAKE_CURRENT_LIST_DIR}/test_etcdctl.py)
