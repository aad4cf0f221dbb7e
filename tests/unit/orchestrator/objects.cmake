foreach(name quantity timestamp selector patch_json patch_strategic names conform defaults validate
        field_set protobuf yaml table)
    coracle_unit_test(test_orch_${name} SOURCES test_${name}.c LINK orch_objects)
endforeach()
