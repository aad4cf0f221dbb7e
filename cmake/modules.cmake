# coracle_library(NAME SOURCES a.c … LINK other …): one static library per layer or module. What it may
# use is what it links; scripts/check-layers also reads the #include lines, because one include path
# serves the whole tree.
function(coracle_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE warnings)
endfunction()

# coracle_program(NAME SOURCES a.c … LINK library …): a program that users run, in build/<preset>/bin.
function(coracle_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PRIVATE ${ARG_LINK} warnings)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    set_property(GLOBAL APPEND PROPERTY CORACLE_PROGRAMS ${name}) # packaging installs them
endfunction()

# coracle_unit_test(NAME SOURCES test_x.c LINK library … [LABELS slow root]): a cmocka program run by ctest.
function(coracle_unit_test name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PRIVATE ${ARG_LINK} cmocka warnings)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 120)
    endif()
    if("threads" IN_LIST ARG_LABELS)
        if(NOT TARGET threaded)
            add_custom_target(threaded) # every test of code with threads
        endif()
        add_dependencies(threaded ${name})
    endif()
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "unit;${ARG_LABELS}"
        SKIP_RETURN_CODE 77)
endfunction()

# coracle_fuzz_target(NAME SOURCES fuzz_x.c LINK library …): the same source is a libFuzzer program in the
# fuzz preset and, everywhere else, a test that replays tests/fuzz/corpus/<NAME without fuzz_>/*.
function(coracle_fuzz_target name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    string(REPLACE "fuzz_" "" corpus ${name})
    set(directory ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${corpus})
    add_executable(${name} ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PRIVATE ${ARG_LINK} warnings)
    if(CORACLE_FUZZ)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
        set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
        if(NOT TARGET fuzzers)
            add_custom_target(fuzzers) # every fuzz target, and nothing else
        endif()
        add_dependencies(fuzzers ${name})
    else()
        target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.c)
        set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
        add_test(NAME ${name}_corpus COMMAND ${name} ${directory})
        set_tests_properties(${name}_corpus PROPERTIES TIMEOUT 120 LABELS "unit;fuzz-corpus")
    endif()
endfunction()

# coracle_system_test(NAME script [arguments…]): a script that runs real processes of this build (in
# CORACLE_BIN). Exit 77 means skipped: what it needs is not installed. They run one at a time.
function(coracle_system_test name)
    add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS system TIMEOUT 1200 SKIP_RETURN_CODE 77 RUN_SERIAL ON
        ENVIRONMENT "CORACLE_BIN=${CMAKE_BINARY_DIR}/bin")
endfunction()
