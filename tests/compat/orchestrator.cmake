coracle_system_test(compat_orchestrator ${CMAKE_CURRENT_LIST_DIR}/test_orchestrator.sh)
coracle_system_test(compat_ui ${CMAKE_CURRENT_LIST_DIR}/test_ui.py)
