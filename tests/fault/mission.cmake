if(TARGET kvctl-workload)
    coracle_system_test(mission ${CMAKE_CURRENT_LIST_DIR}/test_mission.py)
    set_tests_properties(mission PROPERTIES LABELS "system;root")
endif()
