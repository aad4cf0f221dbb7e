coracle_system_test(compat_kvctl ${CMAKE_CURRENT_LIST_DIR}/kvctl_vs_etcdctl.py)
coracle_system_test(compat_kvctl_restore ${CMAKE_CURRENT_LIST_DIR}/kvctl_restore.py)
coracle_system_test(compat_kvctl_failover ${CMAKE_CURRENT_LIST_DIR}/kvctl_failover.py)
