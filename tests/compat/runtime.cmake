# kvrun and kvshim with real containers. Root is needed; elsewhere each test says SKIP (77).
add_executable(shim_client ${CMAKE_CURRENT_SOURCE_DIR}/runtime/shim_client.c)
set_target_properties(shim_client PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_include_directories(shim_client PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(shim_client PRIVATE base_core shim_proto warnings)
foreach(name lifecycle features limits escape terminal shim engines podman leaks)
    add_test(NAME compat_kvrun_${name}
        COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/runtime/test_${name}.sh)
    set_tests_properties(compat_kvrun_${name} PROPERTIES LABELS "compat;root" TIMEOUT 600 RUN_SERIAL ON
        SKIP_RETURN_CODE 77 ENVIRONMENT
        "KVRUN=$<TARGET_FILE:kvrun>;KVSHIM=$<TARGET_FILE:kvshim>;SHIM_CLIENT=$<TARGET_FILE:shim_client>")
endforeach()
# The same in a virtual machine with version 2 cgroups: only where its kernel and qemu are.
add_test(NAME compat_kvrun_vm COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/runtime/vm/run.sh)
set_tests_properties(compat_kvrun_vm PROPERTIES LABELS "compat;root;slow" TIMEOUT 1800 RUN_SERIAL ON
    SKIP_RETURN_CODE 77 ENVIRONMENT
    "KVRUN=$<TARGET_FILE:kvrun>;KVSHIM=$<TARGET_FILE:kvshim>;SHIM_CLIENT=$<TARGET_FILE:shim_client>")
