coracle_unit_test(test_go_text SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_go_text.c LINK kvctl_text)
coracle_unit_test(test_flag SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_flag.c LINK kvctl_text)
coracle_unit_test(test_txn_text SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_txn_text.c LINK kvctl_text)
coracle_unit_test(test_kv_request SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kv_request.c LINK kvctl_text)
coracle_unit_test(test_printer SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_printer.c LINK kvctl_text)
coracle_unit_test(test_command_table SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_command_table.c
    LINK kvctl_commands)
coracle_unit_test(test_snapshot_file SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_snapshot_file.c
    LINK kvctl_commands)
