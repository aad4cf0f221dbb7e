coracle_system_test(fault_alarm ${CMAKE_CURRENT_LIST_DIR}/test_alarm.py)
coracle_system_test(fault_exit_codes ${CMAKE_CURRENT_LIST_DIR}/test_exit_codes.py)
# With the sanitizers, as part of the unit tests: that build is where a use after free shows.
if(CMAKE_C_FLAGS MATCHES "fsanitize=address")
    add_test(NAME fault_stop_streams COMMAND ${CMAKE_CURRENT_LIST_DIR}/test_stop_streams.py WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(fault_stop_streams PROPERTIES LABELS "unit;processes" TIMEOUT 600 SKIP_RETURN_CODE 77
        ENVIRONMENT "CORACLE_BIN=${CMAKE_BINARY_DIR}/bin")
endif()
coracle_system_test(fault_bad_input ${CMAKE_CURRENT_LIST_DIR}/test_bad_input.py)
