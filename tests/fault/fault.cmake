coracle_system_test(fault_kill ${CMAKE_CURRENT_LIST_DIR}/test_kill.py --cycles 100)
coracle_system_test(fault_members ${CMAKE_CURRENT_LIST_DIR}/test_members.py)
coracle_system_test(fault_start ${CMAKE_CURRENT_LIST_DIR}/test_start.py)
