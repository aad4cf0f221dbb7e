coracle_system_test(compat_migrate_offline ${CMAKE_CURRENT_LIST_DIR}/migrate_offline.py)
coracle_system_test(compat_migrate_live ${CMAKE_CURRENT_LIST_DIR}/migrate_live.py)
