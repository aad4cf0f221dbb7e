# Pods of a node for real: needs root and the real kubectl, else it says so (77).
coracle_system_test(compat_agent ${CMAKE_CURRENT_LIST_DIR}/test_agent.py)
set_tests_properties(compat_agent PROPERTIES LABELS "system;root")
