# From end to end, as root in namespaces of its own: needs the programs, so it is a test of its own kind.
add_test(NAME words_containers
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/words/containers.sh ${CMAKE_BINARY_DIR}/bin)
set_tests_properties(words_containers PROPERTIES TIMEOUT 900 LABELS "root;slow" SKIP_RETURN_CODE 77
    RUN_SERIAL ON)

coracle_unit_test(test_words SOURCES words/test_words.c LINK words)
coracle_unit_test(test_words_run SOURCES words/test_run.c LINK words)
