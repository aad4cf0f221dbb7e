coracle_system_test(compat_etcdctl ${CMAKE_CURRENT_LIST_DIR}/test_etcdctl.py)
coracle_system_test(compat_python_etcd3 ${CMAKE_CURRENT_LIST_DIR}/test_python_etcd3.py)
coracle_system_test(compat_tls ${CMAKE_CURRENT_LIST_DIR}/test_tls.py)
coracle_system_test(compat_lock_election ${CMAKE_CURRENT_LIST_DIR}/test_lock_election.py)
