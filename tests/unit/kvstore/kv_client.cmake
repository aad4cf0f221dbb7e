coracle_unit_test(test_endpoint_address
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_endpoint_address.c LINK kv_client_core)
coracle_unit_test(test_picker SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_picker.c LINK kv_client_core)
# The client against a scripted channel instead of the network: fake_grpc_channel.c defines the
# functions of proto/grpc_channel.h before the linker looks into the library.
foreach(name test_kv_client test_kv_client_watch)
    coracle_unit_test(${name} SOURCES ${name}.c kv_client_fixture.c fake_grpc_channel.c LINK kv_client)
endforeach()
