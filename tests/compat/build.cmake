# `kvctl build` of the Dockerfiles of build/dockerfiles; `test_dockerfiles.py --all --buildah` compares all with buildah.
foreach(name dockerfiles hostile)
    add_test(NAME compat_build_${name} COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/build/test_${name}.py)
    set_tests_properties(compat_build_${name} PROPERTIES LABELS "compat;root" TIMEOUT 600 RUN_SERIAL ON
        SKIP_RETURN_CODE 77 ENVIRONMENT "CORACLE_BIN=${CMAKE_BINARY_DIR}/bin")
endforeach()
