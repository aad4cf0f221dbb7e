coracle_fuzz_target(fuzz_oci_config SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_oci_config.c
    LINK container_core)
