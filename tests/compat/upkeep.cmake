coracle_system_test(compat_auto_compaction ${CMAKE_CURRENT_LIST_DIR}/test_auto_compaction.py)
coracle_system_test(compat_force_new_cluster ${CMAKE_CURRENT_LIST_DIR}/test_force_new_cluster.py)
coracle_system_test(compat_metrics ${CMAKE_CURRENT_LIST_DIR}/test_metrics.py)
coracle_system_test(compat_tls_rules ${CMAKE_CURRENT_LIST_DIR}/test_tls_rules.py)
