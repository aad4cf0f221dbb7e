coracle_fuzz_target(fuzz_shim_message SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_shim_message.c
    LINK shim_core shim_proto)
