coracle_unit_test(test_json SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_json.c LINK container_core)
coracle_unit_test(test_spec SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_spec.c LINK container_core)
coracle_unit_test(test_seccomp SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_seccomp.c LINK container_core)
coracle_unit_test(test_cgroup_values SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cgroup_values.c
    LINK container_core)
coracle_unit_test(test_mount_options SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_mount_options.c
    LINK container_core)
coracle_unit_test(test_args SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_args.c LINK container_core)
coracle_unit_test(test_shim SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_shim.c LINK shim_core)
coracle_unit_test(test_target SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_target.c LINK container)
