coracle_system_test(compat_npm_etcd3 ${CMAKE_CURRENT_LIST_DIR}/test_npm_etcd3.py)
