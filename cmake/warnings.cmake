# Warnings for our own code; generated code does not link this target.
option(CORACLE_WERROR "Treat warnings as errors" OFF)
add_library(warnings INTERFACE)
target_compile_options(warnings INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wcast-qual
    -Wformat=2 -Wundef -Wimplicit-fallthrough)
if(CORACLE_WERROR)
    target_compile_options(warnings INTERFACE -Werror)
endif()
