include(${PROJECT_SOURCE_DIR}/tests/bench/programs.cmake)
