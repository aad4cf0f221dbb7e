coracle_system_test(fault_alarm ${CMAKE_CURRENT_LIST_DIR}/test_alarm.py)
coracle_system_test(fault_exit_codes ${CMAKE_CURRENT_LIST_DIR}/test_exit_codes.py)
