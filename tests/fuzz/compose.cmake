coracle_fuzz_target(fuzz_compose SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/fuzz_compose.c LINK compose_project)
coracle_fuzz_target(fuzz_dockerfile SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/fuzz_dockerfile.c LINK build_file)
