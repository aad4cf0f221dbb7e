# Programs that measure; none is a test.
coracle_program(grpc_echo SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/grpc_echo.c LINK proto_wire)
coracle_program(kv_fill SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/kv_fill.c LINK kv_client)
coracle_program(bench-schedule SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/schedule.c
   LINK orch_scheduler)
