# Flags of the release build: OpenSSF compiler hardening guide, those that gcc 12 and clang 14 share.
include(CheckCCompilerFlag)
set(CORACLE_HARDENING_CANDIDATES
    -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
    -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr -Wtrampolines -Wbidi-chars=any
    -fno-delete-null-pointer-checks -fno-strict-overflow)
function(coracle_add_hardening)
    foreach(flag IN LISTS CORACLE_HARDENING_CANDIDATES)
        string(MAKE_C_IDENTIFIER "has${flag}" variable)
        check_c_compiler_flag(${flag} ${variable})
        if(${variable})
            add_compile_options(${flag})
        endif()
    endforeach()
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
endfunction()
