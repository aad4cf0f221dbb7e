# `kvctl compose` with real containers, in namespaces of their own; and its reading of files, which needs no root.
foreach(name bad config files cluster)
    add_test(NAME compat_compose_${name} COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/compose/test_${name}.py)
    set_tests_properties(compat_compose_${name} PROPERTIES LABELS "compat;root" TIMEOUT 600 RUN_SERIAL ON
        SKIP_RETURN_CODE 77 ENVIRONMENT "CORACLE_BIN=${CMAKE_BINARY_DIR}/bin")
endforeach()
