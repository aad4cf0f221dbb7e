# Warnings for our own code; generated code does not link this target.
option(CORACLE_WERROR "Treat warnings as errors" OFF)
add_library(warnings INTERFACE)
target_compile_options(warnings INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -Wformat=2 -Wundef -Wimplicit-fallthrough)
# clang would report the casts inside protobuf-c's __INIT macros, too, which gcc knows are not ours.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(warnings INTERFACE -Wcast-qual)
endif()
if(CORACLE_WERROR)
    target_compile_options(warnings INTERFACE -Werror)
endif()
