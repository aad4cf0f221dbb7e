coracle_fuzz_target(fuzz_kvctl_text SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_kvctl_text.c LINK kvctl_text)
